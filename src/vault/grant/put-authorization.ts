import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, newUuid } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { deleteCandidates } from '../../storage/statements/candidates.ts';
import {
  findGrant,
  type GrantRow,
  insertGrant,
  type NewGrant,
  replaceAuthorization,
} from '../../storage/statements/grants.ts';
import { tenantKeyStands } from '../../storage/statements/tenant-keys.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import type { Grant } from '../types.ts';
import type { AccountComparison } from './account.ts';
import { noteAsked } from './asked.ts';
import { resealCandidates } from './change-facts.ts';
import { factsOf } from './facts.ts';
import { describeGrant } from './grants.ts';
import { assertNewest } from './newest.ts';
import { columnsOf, detailsOf, oldMetadataOf } from './put/columns.ts';
import { comparisonOf, type GoingOn, goOn, hasFacts } from './put/go-on.ts';
import type { NewAuthorization } from './put/new-authorization.ts';
import { queueReplaced, revokeReplaced } from './reconnect.ts';
import { keepAlternatives, keepReplaced } from './replaced.ts';
import { tokenOf, warnOfSlots } from './slots/warn.ts';
import { standingOf } from './standing.ts';
import { sealTokens } from './tokens.ts';

/** The number of tries of a writer whose row changes meanwhile. */
const triesMax = 5;

export interface PutOptions {
  /** Leaves an existing grant or tombstone under the key unchanged. */
  readonly onlyNew?: boolean;
  /** Runs in the transaction that stores the tokens. If it throws, the transaction is rolled back. */
  readonly within?: (change: ChangeTransaction) => Promise<void>;
  /** True if the row has this authorization already. If it throws, nothing is stored. */
  readonly isStored?: (row: GrantRow | undefined) => Promise<boolean>;
  /** Decides about an existing row: `store` the new tokens, or keep what is stored and return its row. */
  readonly keepStored?: (row: GrantRow) => Promise<GrantRow | 'store' | 'changed'>;
}

/**
 * Makes a grant from a new authorization, or gives its tokens to an existing grant as the next generation.
 *
 * A refresh in flight for the old authorization loses its lease and cannot overwrite the new one.
 *
 * @throws {GrantryError} `storage_unavailable` if the row keeps changing
 */
export async function putAuthorization(
  context: VaultContext,
  key: CheckedKey,
  authorization: NewAuthorization,
  options: PutOptions = {},
): Promise<Grant> {
  await fingerprinter(context);
  for (let tries = 0; tries < triesMax; tries += 1) {
    // Read fresh: another process may have shredded the tenant's keys, and seals under old keys never open.
    const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
    const old = await findGrant(context.store.db, key);
    if (old !== undefined && options.onlyNew === true) return describeGrant(context, old);
    if ((await options.isStored?.(old)) === true && old !== undefined) return describeGrant(context, old);
    const kept = old === undefined ? 'store' : ((await options.keepStored?.(old)) ?? 'store');
    if (kept === 'changed') continue;
    if (kept !== 'store') return describeGrant(context, kept);
    await assertNewest(context, old, authorization.consented);
    const comparison = await comparisonOf(context, key, authorization, old);
    const { refreshToken } = authorization;
    if (refreshToken === null) {
      if (await goOn(context, key, { authorization, old, comparison, tenantKeys }, options)) {
        const row = await findGrant(context.store.db, key);
        if (row !== undefined) return describeGrant(context, row);
      }
      continue;
    }
    if (!(await replaceTokens(context, key, { authorization, refreshToken, old, comparison, tenantKeys }, options)))
      continue;
    const row = await findGrant(context.store.db, key);
    if (row !== undefined) return describeGrant(context, row);
  }
  throw new GrantryError('storage_unavailable', 'The tokens were not stored: other processes kept changing the grant.');
}

interface Replacing extends GoingOn {
  readonly refreshToken: Secret;
}

/** Stores a new refresh token: in a new grant, or as the next generation of an old one. False if the row changed meanwhile. */
async function replaceTokens(
  context: VaultContext,
  key: CheckedKey,
  { authorization, refreshToken, old, comparison, tenantKeys }: Replacing,
  options: PutOptions,
): Promise<boolean> {
  const id = old?.id ?? newUuid(context.world);
  const { candidates = [], event: type } = authorization;
  // Candidates stand one generation below the token that is tried first, and in the same authorization.
  const authorizedGeneration = (old?.generation ?? 0) + 1;
  const generation = candidates.length === 0 ? authorizedGeneration : authorizedGeneration + 1;
  const fromAnswer = await columnsOf(context, key.provider, authorization, {
    refreshToken,
    old,
    oldMetadata: oldMetadataOf(context, old, tenantKeys),
    comparison,
  });
  const facts = factsOf({ ...key, ...fromAnswer });
  const tokens = { accessToken: authorization.accessToken, refreshToken };
  const sealed = sealTokens(tenantKeys, { id, generation, facts }, tokens);
  const columns = candidates.length === 0 ? fromAnswer : { ...fromAnswer, authorized_generation: authorizedGeneration };
  const definition = await context.providers.require(key.provider);
  const details = await detailsOf(context, authorization, columns.refresh_fingerprint);
  const candidateId = newUuid(context.world);
  let hasQueued = false;
  const assertStanding = await standingOf(context, key, authorization);
  const stored = await context.turns.run(key, () =>
    changing(context, async (change) => {
      const { tx } = change;
      await assertStanding(change);
      if (!(await tenantKeyStands(tx, { tenant: key.tenant, wrapped: tenantKeys.sealingKey }))) return false;
      if (old !== undefined && !(await hasFacts(tx, old))) return false;
      if (!(await writeRow(tx, key, old, { ...columns, ...sealed, id, generation }))) return false;
      await noteAsked(change, { tenant: key.tenant, grantId: id }, authorization);
      await options.within?.(change);
      const news = { ...columns, id: candidateId, generation, authorizedGeneration, facts };
      hasQueued = await endOld(context, change, {
        key,
        id,
        old,
        authorization,
        comparison,
        definition,
        tenantKeys,
        news,
      });
      const place = { client_id: key.tenant, ...key, id, generation: authorizedGeneration };
      change.record({ ...place, state: old?.state ?? null }, { type, to: 'active', reason: null, details });
      return true;
    }),
  );
  if (!stored) return false;
  if (hasQueued) await revokeReplaced(context, { tenant: key.tenant, grantId: id });
  if (authorization.event === 'grant.connected') await warnOfSlots(context, tokenOf(key, columns));
  return true;
}

/** Writes the columns of an authorization. Returns false if the row has changed since it was read. */
function writeRow(
  tx: ChangeTransaction['tx'],
  { tenant: client_id, provider, account }: CheckedKey,
  old: GrantRow | undefined,
  { id, ...columns }: Omit<NewGrant, 'client_id' | 'provider' | 'account'>,
): Promise<boolean> {
  if (old !== undefined) return replaceAuthorization(tx, old, columns);
  return insertGrant(tx, { id, client_id, provider, account, ...columns });
}

interface Replaced {
  readonly key: CheckedKey;
  readonly id: string;
  readonly old: GrantRow | undefined;
  readonly authorization: NewAuthorization;
  readonly comparison: AccountComparison | null;
  readonly definition: ProviderDefinition;
  readonly tenantKeys: PinnedTenant;
  readonly news: Parameters<typeof keepReplaced>[3] & { readonly authorizedGeneration: number };
}

/** Keeps, queues or shreds what a new authorization replaces. Returns true if a token was queued for revocation. */
async function endOld(
  context: VaultContext,
  change: ChangeTransaction,
  { key, id, old, authorization, comparison, definition, tenantKeys, news }: Replaced,
): Promise<boolean> {
  const keepOld = async (): Promise<void> => {
    if (old === undefined) return;
    await resealCandidates(context, change, { row: old, tenantKeys }, { from: factsOf(old), to: news.facts });
    await keepReplaced(change, tenantKeys, old, news);
  };
  if (authorization.event === 'grant.stored') {
    await keepOld();
    return false;
  }
  const grant = { tenant: key.tenant, grantId: id };
  const place = { ...grant, generation: news.authorizedGeneration };
  const { candidates = [] } = authorization;
  const alternatives = { place, tenantKeys, facts: news.facts, candidates };
  // A broken answer proves nothing: none of its tokens may work. The tokens of another account never come back.
  if (authorization.candidates !== undefined && comparison?.relation !== 'other') {
    await keepOld();
    await keepAlternatives(context, change, alternatives);
    return false;
  }
  const newFingerprint = news.refresh_fingerprint;
  const hasQueued =
    old !== undefined && (await queueReplaced(context, change, { old, definition, tenantKeys, newFingerprint }));
  await deleteCandidates(change.tx, grant);
  await keepAlternatives(context, change, alternatives);
  return hasQueued;
}
