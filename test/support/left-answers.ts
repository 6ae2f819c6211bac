/** Answers in the spool of a vault whose processes ended before they could commit them, and their replay. */
import { hostname } from 'node:os';
import type { GrantKey } from '../../src/base/ids.ts';
import { Secret } from '../../src/base/secret.ts';
import type { AttemptOutcome } from '../../src/storage/schema.ts';
import { factsOf } from '../../src/vault/grant/facts.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { type Replayed, type ReplayOptions, replaySpool } from '../../src/vault/refresh/replay.ts';
import type { SpoolHead } from '../../src/vault/spool/spool.ts';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from './bench.ts';

/** A process of this host that has ended. */
export const deadOwner = { id: 'a-process-that-ended', host: hostname(), pid: process.pid };

/** The head of an answer to a request with the token that is stored now. */
export async function headFor(
  bench: Bench,
  key: GrantKey,
  change: Partial<Extract<SpoolHead, { version: 2 }>> = {},
): Promise<SpoolHead> {
  const row = await bench.row(key);
  return {
    version: 2,
    facts: [...factsOf(row)],
    tenant: key.tenant,
    grantId: row.id,
    attemptId: crypto.randomUUID(),
    generation: row.generation,
    fence: row.lease_fence,
    tokenFingerprint: row.refresh_fingerprint ?? '',
    candidateId: null,
    owner: deadOwner,
    at: bench.clock.now(),
    ...change,
  };
}

export interface LeftAnswer {
  /** The kind that its file has by now. */
  readonly kind?: 'answer' | 'refused' | 'unread' | 'saved';
  /** The body of the answer; null for an empty one. */
  readonly body?: string | null;
  readonly status?: number;
  /** The outcome of its attempt in the database; null if the database has lost the attempt. */
  readonly outcome?: AttemptOutcome | null;
  /** The tenant whose keys sealed it. Those of another one do not open it. */
  readonly sealedFor?: string;
}

/** Writes the body of an answer with these tokens. */
export function bodyWith(refreshToken?: string, members: object = {}): string {
  const tokens = { access_token: 'an-access-token', token_type: 'Bearer', expires_in: 3_600 };
  return JSON.stringify({
    ...tokens,
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...members,
  });
}

/** Leaves an answer in the spool, and its attempt in the database. */
export async function leaveAnswer(bench: Bench, vault: Vault, head: SpoolHead, left: LeftAnswer = {}): Promise<void> {
  const { kind = 'answer', body = bodyWith('a-successor'), status = 200, outcome = 'open', sealedFor } = left;
  const { tenant, grantId, attemptId } = head;
  const context = internalsOf(vault).open();
  if (outcome !== null) await noteAttempt(bench, head, outcome);
  const slot = await (await context.spool()).reserve(`${grantId}.${attemptId}`);
  const raw = { status, contentType: null, retryAfter: null, incomplete: false, requestedAt: head.at };
  const keys = await context.keys.pin(sealedFor ?? tenant, { fresh: true });
  await slot.keep(head, keys, { ...raw, body: body === null ? null : new Secret(body) });
  if (kind === 'saved') await slot.markCommitted();
  else if (kind !== 'answer') await slot.setAside(kind);
}

/** Notes the attempt of a head in the database. */
export async function noteAttempt(bench: Bench, head: SpoolHead, outcome: AttemptOutcome = 'open'): Promise<void> {
  const { tenant, grantId: grant_id, attemptId: id, fence, generation, tokenFingerprint: token_fingerprint } = head;
  const sent = { id, tenant, grant_id, fence, generation, token_fingerprint, candidate_id: head.candidateId };
  const attempt = { ...sent, owner: head.owner.id, started_at: head.at, finished_at: null, outcome, detail: null };
  await bench.judge.db.insertInto('grantry_attempts').values(attempt).execute();
}

/** Opens a vault with one grant. */
export async function connected(bench: Bench, provider = 'strict'): Promise<{ vault: Vault; key: GrantKey }> {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider });
  return { vault, key };
}

export const allKinds: ReplayOptions = { kinds: ['answer', 'refused', 'unread', 'saved'] };

/** The result of a replay that changed nothing. */
export const nothing: Replayed = { changed: 0, setAside: [] };

export function replay(vault: Vault, options: ReplayOptions = {}): Promise<Replayed> {
  return replaySpool(internalsOf(vault).open(), options);
}

/** The candidates of all grants, those with the lowest fence first. */
export async function candidatesOf(bench: Bench) {
  return bench.judge.db
    .selectFrom('grantry_candidates')
    .select(['id', 'state', 'token_fingerprint'])
    .orderBy('fence')
    .execute();
}

/** The outcomes of all attempts. */
export async function outcomesOf(bench: Bench): Promise<AttemptOutcome[]> {
  const attempts = await bench.judge.db.selectFrom('grantry_attempts').select('outcome').execute();
  return attempts.map(({ outcome }) => outcome);
}
