import { GrantryError } from './errors.ts';
import { limits } from './limits.ts';
import type { ProviderId } from './provider-ids.ts';
import type { World } from './world.ts';

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9._@:-]{0,127}$/;
const providerPattern = /^[a-z0-9_-]{1,64}$/;

export const defaultAccount = 'default';

/** Names one grant: which tenant, at which provider, and which of the tenant's accounts there. */
export interface GrantKey {
  tenant: string;
  provider: ProviderId;
  /** Tells several grants of one tenant at one provider apart; `default` when left out. */
  account?: string | undefined;
}

/** A {@link GrantKey} whose parts were checked. */
export interface CheckedKey {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
}

/** Checks a tenant's, app's or account's name. @throws {GrantryError} `invalid_request` */
export function checkName(kind: 'tenant' | 'app' | 'account' | 'key' | 'installation', value: unknown): string {
  if (typeof value === 'string' && namePattern.test(value)) return value;
  throw new GrantryError(
    'invalid_request',
    `The ${kind} name ${describe(value)} is not valid: 1 to ${limits.nameCharsMax} of a-z A-Z 0-9 . _ @ : - starting with a letter or digit.`,
  );
}

/** Checks a provider id. @throws {GrantryError} `invalid_request` */
export function checkProviderId(value: unknown): string {
  if (typeof value === 'string' && providerPattern.test(value)) return value;
  throw new GrantryError(
    'invalid_request',
    `The provider id ${describe(value)} is not valid: 1 to ${limits.providerIdCharsMax} of a-z 0-9 _ -.`,
  );
}

/** Checks a grant's key. @throws {GrantryError} `invalid_request` */
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

/** Describes a value. Long or unprintable text is not repeated: it may be a misplaced secret. */
function describe(value: unknown): string {
  if (typeof value !== 'string') return `(${value === null ? 'null' : typeof value})`;
  if (value === '') return '(empty)';
  return /^[\x20-\x7e]{1,32}$/.test(value) ? `"${value}"` : `(${value.length} characters)`;
}

/** A random UUID (version 4) from the world. Only for row ids, never as a secret. */
export function newUuid(world: World): string {
  const bytes = world.randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** 256 random bits as base64url: for states, verifiers, completion codes. */
export function newRandomText(world: World): string {
  return Buffer.from(world.randomBytes(32)).toString('base64url');
}
