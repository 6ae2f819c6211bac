import { findGrant, metadataOf } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { assertExpectedOrganization } from '../organization/expect.ts';
import { type Exchanged, scopesOf } from './authorize.ts';

/**
 * Compares the organisation of a consent with the expected one, if its request named one, before anything is stored.
 *
 * @returns the consent with the organisation in its metadata
 * @throws {GrantryError} as {@link assertExpectedOrganization}
 */
export async function asExpected(context: VaultContext, exchanged: Exchanged): Promise<Exchanged> {
  const { expectOrganization: expected, key, definition, dc, tokens, captured } = exchanged;
  if (expected === undefined) return exchanged;
  const row = await findGrant(context.store.db, key);
  const { environment } = row === undefined || row.state === 'disconnected' ? {} : metadataOf(row);
  const members = await assertExpectedOrganization(context, {
    key,
    definition,
    dc,
    scopes: scopesOf(exchanged).scopes,
    metadata: {
      // The grant stays in its environment unless the request names another.
      ...(environment === undefined ? {} : { environment }),
      ...captured,
      ...tokens.metadata,
      ...(dc === null ? {} : { dc }),
    },
    accessToken: tokens.accessToken,
    expiresAt: tokens.expiresAt,
    expected,
  });
  return { ...exchanged, captured: { ...captured, ...members }, expectOrganization: undefined };
}
