import { newUuid } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { type CandidateRow, deleteCandidates, insertCandidate } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { ChangeTransaction } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { type Facts, type Placed } from './facts.ts';
import { appOfReplaced, lone, replacedTokens, sealCandidate } from './tokens.ts';

/** True for a token set that was replaced by hand: no attempt brought it. */
export function isReplacedByHand({ fence }: CandidateRow): boolean {
  return fence === 0;
}

/**
 * Finds the app that a candidate was issued to, among all candidates of its grant; null for the grant's own. A candidate
 * that waited when its authorization was replaced by hand has the app of that authorization.
 */
export function appOfCandidate(
  tenantKeys: PinnedTenant,
  row: Placed,
  candidate: CandidateRow,
  all: readonly CandidateRow[],
): string | null {
  const own = appOfReplaced(tenantKeys, row, candidate);
  if (own !== null) return own;
  const [replaced] = all
    .filter((each) => isReplacedByHand(each) && each.generation >= candidate.generation)
    .toSorted((one, other) => one.generation - other.generation);
  return replaced === undefined ? null : appOfReplaced(tenantKeys, row, replaced);
}

/**
 * Keeps the stored tokens that new ones replace by hand, as a candidate for `recover`. No refresh spends it by itself:
 * its generation is older than the new authorization. The first refresh of the new tokens shreds it.
 */
export async function keepReplaced(
  { tx }: ChangeTransaction,
  tenantKeys: PinnedTenant,
  old: GrantRow | undefined,
  news: {
    readonly id: string;
    readonly generation: number;
    readonly refresh_fingerprint: string;
    readonly facts: Facts;
  },
): Promise<void> {
  if (old === undefined) return;
  const { client_id: tenant, id: grant_id, generation, refresh_fingerprint: token_fingerprint } = old;
  // A program may store tokens again and again without a refresh between.
  const belowGeneration = news.generation - limits.replacedKeptMax;
  await deleteCandidates(tx, { tenant, grantId: grant_id, belowGeneration });
  if (token_fingerprint === null || token_fingerprint === news.refresh_fingerprint) return;
  const tokens = replacedTokens(tenantKeys, old);
  if (tokens === null) return;
  const { id } = news;
  await insertCandidate(tx, {
    id,
    tenant,
    grant_id,
    fence: 0,
    generation,
    token_fingerprint,
    state: 'untested',
    tokens: sealCandidate(tenantKeys, news.facts, { id, generation }, tokens),
  });
}

/** True for one of several refresh tokens that the broken answer to a code held: it is older than any refresh. */
export function isFromConsent({ fence }: CandidateRow): boolean {
  return fence < 0;
}

/** Keeps further refresh tokens of a broken answer to a code: the likeliest one may be the wrong one. */
export async function keepAlternatives(
  context: VaultContext,
  { tx }: ChangeTransaction,
  kept: {
    readonly place: { readonly tenant: string; readonly grantId: string; readonly generation: number };
    readonly tenantKeys: PinnedTenant;
    readonly facts: Facts;
    /** The likeliest first. */
    readonly candidates: readonly Secret[];
  },
): Promise<void> {
  const { tenant, grantId: grant_id, generation } = kept.place;
  const fingerprint = await fingerprinter(context);
  // The newest is tried first, and the highest fence of equals: both are the likeliest's.
  for (const [index, token] of [...kept.candidates.entries()].toReversed()) {
    const id = newUuid(context.world);
    await insertCandidate(tx, {
      id,
      tenant,
      grant_id,
      fence: -1 - index,
      generation,
      token_fingerprint: fingerprint(token),
      state: 'untested',
      tokens: sealCandidate(kept.tenantKeys, kept.facts, { id, generation }, lone(token)),
    });
  }
}
