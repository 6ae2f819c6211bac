import { GrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import type { Metadata } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { VaultContext } from '../context.ts';
import { organizationMembers } from './keep.ts';
import { type Reading, readOrganizations } from './read.ts';
import { listed, withId } from './told.ts';

/** The cause of an error about tokens whose organisation cannot be read any more. They are kept sealed, and set aside. */
export class UncheckedError extends Error {}

/** A consent whose tokens are not stored yet. */
export interface UnstoredConsent {
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
  readonly dc: string | null;
  readonly scopes: readonly string[];
  readonly metadata: Metadata;
  /** Null if the answer was broken. */
  readonly accessToken: Secret | null;
  /** The end of the access token, in milliseconds since 1970; null if the answer told none. */
  readonly expiresAt: number | null;
  readonly expected: string;
}

/**
 * Asserts that a consent is for the expected organisation, before anything of it is stored.
 *
 * If the API cannot be asked, the consent is neither stored nor dropped. It stays in the spool while asking again may help,
 * and is set aside there, sealed, when it cannot.
 *
 * @returns the members of metadata that name the organisation
 * @throws {GrantryError} `authorization_failed`: with the reason `wrong_organization`, its tokens are unwanted; with an
 * {@link UncheckedError} as cause, they are to be set aside. `provider_unavailable`: to be tried again
 */
export async function assertExpectedOrganization(
  context: VaultContext,
  { key, definition, dc, scopes, metadata, accessToken, expiresAt, expected }: UnstoredConsent,
): Promise<Record<string, string>> {
  if (accessToken === null) throw unchecked(key, 'the answer of the provider was broken');
  const reading = await readOrganizations(context, { definition, place: { dc, metadata }, token: accessToken }, scopes);
  // No refresh is spent for tokens that are stored nowhere: its answer could be lost.
  if (reading.kind === 'refused' && expiresAt !== null && expiresAt <= context.world.now()) throw ended(key);
  if (reading.kind !== 'told' || reading.organizations.length === 0) throw unread(context, key, reading);
  const found = withId(reading.organizations, expected);
  if (found === null) throw wrong(key, expected, listed(reading.organizations));
  const members = { ...metadata, org_id: expected };
  const told = { organizations: [found], owner: null, isNew: true, reach: 'reached' as const };
  const named = organizationMembers(definition, members, told);
  const texts = Object.entries(named).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
  return { ...Object.fromEntries(texts), org_id: expected };
}

function wrong({ tenant, provider }: CheckedKey, expected: string, told: string): GrantryError {
  return new GrantryError(
    'authorization_failed',
    `The consent for ${tenant} at ${provider} is for ${told}, and ${expected} was expected. Nothing was stored.`,
    {
      action: 'Connect again, and choose the expected organisation at the provider, with a user who belongs to it.',
      reason: 'wrong_organization',
    },
  );
}

function unread(context: VaultContext, key: CheckedKey, reading: Reading): GrantryError {
  const { kind } = reading;
  if (kind === 'scope_missing') return unchecked(key, `the scope ${reading.scope} was not granted`);
  if (kind === 'refused') return unchecked(key, `the API refuses the token with status ${reading.status}`);
  if (kind !== 'away') return unchecked(key, 'the API names no organisation');
  const why = reading.status === null ? 'the API did not answer' : `the API answered with status ${reading.status}`;
  return new GrantryError(
    'provider_unavailable',
    `The organisation of the consent for ${key.tenant} at ${key.provider} could not be read: ${why}. Nothing was stored yet.`,
    {
      action:
        'Open the same callback URL again: the consent is kept sealed, and it is checked again in the background.',
      reason: 'organization_unread',
      retryAfterMs: context.times.retryBackOffMs,
    },
  );
}

function ended(key: CheckedKey): GrantryError {
  const why = 'its access token ended before the API could be asked';
  return unchecked(key, why, 'Connect again. The consent is kept sealed, and is revoked when its time is over.');
}

function unchecked({ tenant, provider }: CheckedKey, why: string, action = unreadableAction): GrantryError {
  return new GrantryError(
    'authorization_failed',
    `The organisation of the consent for ${tenant} at ${provider} cannot be read: ${why}. Nothing was stored.`,
    {
      cause: new UncheckedError('the organisation of the consent cannot be read'),
      action,
      reason: 'organization_unread',
    },
  );
}

const unreadableAction = 'Connect again with the scope that tells the organisation, or without expecting one.';

/** True for an error about tokens whose organisation cannot be read any more. */
export function isUnchecked(error: unknown): boolean {
  return error instanceof GrantryError && error.cause instanceof UncheckedError;
}
