import { GrantryError } from './errors.ts';
import { limits } from './limits.ts';
import type { ProviderId } from './provider-ids.ts';
import type { World } from './world.ts';

export const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9._@:-]{0,127}$/;
export const providerPattern = /^[a-z0-9_-]{1,64}$/;

export const defaultAccount = 'default';

/** Key of one grant: the tenant, the provider, and the tenant's account at that provider. */
export interface GrantKey {
  tenant: string;
  provider: ProviderId;
  /** Distinguishes several grants of one tenant at one provider; defaults to `default`. */
  account?: string | undefined;
}

/** A {@link GrantKey} that passed its checks. */
export interface CheckedKey {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
}

/**
 * Checks the name of a tenant, app, account, key or installation.
 * @throws {GrantryError} `invalid_request`
 */
export function checkName(kind: 'tenant' | 'app' | 'account' | 'key' | 'installation', value: unknown): string {
  if (typeof value === 'string' && namePattern.test(value)) return value;
  throw new GrantryError(
    'invalid_request',
    `The ${kind} name ${describe(value)} is not valid: 1 to ${limits.nameCharsMax} of a-z A-Z 0-9 . _ @ : - starting with a letter or digit.`,
  );
}

/**
 * Checks a provider id.
 * @throws {GrantryError} `invalid_request`
 */
export function checkProviderId(value: unknown): string {
  if (typeof value === 'string' && providerPattern.test(value)) return value;
  throw new GrantryError(
    'invalid_request',
    `The provider id ${describe(value)} is not valid: 1 to ${limits.providerIdCharsMax} of a-z 0-9 _ -.`,
  );
}

/**
 * Checks the key of a grant.
 * @throws {GrantryError} `invalid_request`
 */
export function checkKey(key: GrantKey): CheckedKey {
  if (key === null || typeof key !== 'object') {
    throw new GrantryError('invalid_request', 'A grant is named by an object { tenant, provider, account? }.');
  }
  return {
    tenant: checkName('tenant', key.tenant),
    provider: checkProviderId(key.provider),
    account: checkName('account', key.account ?? defaultAccount),
  };
}

/** Writes the command about one grant that an advice names. It names the account, since the command means `default` without. */
export function commandFor(verb: string, { tenant, provider, account }: CheckedKey, more = ''): string {
  return `grantry ${verb} ${tenant} ${provider}${more}${account === defaultAccount ? '' : ` --account ${account}`}`;
}

/** Describes a value without repeating long or unprintable text: it may be a secret in the wrong place. */
function describe(value: unknown): string {
  if (typeof value !== 'string') return `(${value === null ? 'null' : typeof value})`;
  if (value === '') return '(empty)';
  return /^[\x20-\x7e]{1,32}$/.test(value) ? `"${value}"` : `(${value.length} characters)`;
}

/** Creates a random UUID (version 4). Only for row ids: 122 bits in a fixed form are no secret. */
export function newUuid(world: World): string {
  const bytes = world.randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Returns a source of UUIDs (version 7). Each sorts after the last, even in one millisecond or when the clock goes back. */
export function uuidSequence(world: World): () => string {
  let ms = 0;
  let count = 0;
  return () => {
    const now = Math.floor(world.now());
    count = now > ms ? 0 : count + 1;
    ms = Math.max(now, count > 0xfff ? ms + 1 : ms);
    if (count > 0xfff) count = 0;
    const head = `${ms.toString(16).padStart(12, '0')}7${count.toString(16).padStart(3, '0')}`;
    const hex = head + newUuid(world).replaceAll('-', '').slice(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  };
}

/** Returns 256 random bits as base64url: for states, verifiers and completion codes. */
export function newRandomText(world: World): string {
  return Buffer.from(world.randomBytes(32)).toString('base64url');
}
