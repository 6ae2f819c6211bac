import { type GrantryError, isGrantryError, isVaultDown } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { GrantState } from '../../storage/schema.ts';
import { purgeChildKeys } from '../../storage/statements/api-keys.ts';
import { purgeAuthorizations } from '../../storage/statements/authorizations.ts';
import { deleteCandidates } from '../../storage/statements/candidates.ts';
import { purgeConnectSessions } from '../../storage/statements/connect-sessions.ts';
import { claimDueGrants, rescheduleGrant, shredCondemned } from '../../storage/statements/due.ts';
import type { GrantSummary } from '../../storage/statements/grants.ts';
import { purgeTokenRequests } from '../../storage/statements/token-requests.ts';
import { writeUses } from '../api/uses.ts';
import { tendLog } from '../audit/tend.ts';
import { changing } from '../changing.ts';
import { discardUnclaimed } from '../connect/completion.ts';
import { finishConsents } from '../connect/finish-consents.ts';
import { isoNow, type VaultContext } from '../context.ts';
import { idleDueAt } from '../grant/due.ts';
import { revokeDue } from '../grant/revocations.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { cutAllTimes } from '../refresh/clocks.ts';
import { recoverLostTail } from '../refresh/failover.ts';
import { replaySpool } from '../refresh/replay.ts';
import { hasSecondChances, nextChanceInMs } from '../refresh/second-chance.ts';
import { recoverGrant } from './recover.ts';

/** Number of grants that may be claimed, and the providers that are already at their limit. */
export interface DueRoom {
  readonly limit: number;
  readonly exceptProviders: readonly string[];
}

/** Tells whether a grant may have a deadline at its provider: it is in doubt, or a dead holder may have spent its token. */
export function isPressing(grant: Pick<GrantSummary, 'state' | 'lease_owner'>): boolean {
  return grant.state === 'uncertain' || grant.state === 'suspect' || grant.lease_owner !== null;
}

/** Claims due grants: the pressing ones first, with a limit of their own, so that no backlog delays them. */
export async function claimDue(
  context: VaultContext,
  room: { pressing: DueRoom; usual: DueRoom },
): Promise<GrantSummary[]> {
  const { workerHoldMs, doubtHoldMs } = context.times;
  const pressing = await claimInOrder(context, room.pressing, [
    { state: 'uncertain', holdMs: doubtHoldMs },
    { state: 'active', holdMs: doubtHoldMs, leftForMs: workerHoldMs },
    { state: 'suspect', holdMs: doubtHoldMs },
  ]);
  const usual = await claimInOrder(context, room.usual, [
    { state: 'active', holdMs: workerHoldMs },
    { state: 'reauthorization_required', holdMs: workerHoldMs },
  ]);
  return [...pressing, ...usual];
}

async function claimInOrder(
  context: VaultContext,
  { limit, exceptProviders }: DueRoom,
  wanted: readonly { state: GrantState; holdMs: number; leftForMs?: number }[],
): Promise<GrantSummary[]> {
  const { doubtHoldMs } = context.times;
  const claimed: GrantSummary[] = [];
  for (const each of wanted) {
    const left = limit - claimed.length;
    if (left <= 0) break;
    const claim = { ...each, limit: left, doubtHoldMs, exceptProviders };
    claimed.push(...(await changing(context, ({ tx }) => claimDueGrants(tx, claim))));
  }
  return claimed;
}

/**
 * Does what is due for a grant and returns what was done: a refresh (ahead of need, to keep an idle token alive or to
 * resolve a doubt), a second chance, or the shredding of expired remains.
 *
 * Failures at the provider do not throw: they are recorded in the row, together with the next due time.
 */
export async function tend(context: VaultContext, handOut: HandOut, grant: GrantSummary): Promise<UpkeepOutcome> {
  const key = { tenant: grant.client_id, provider: grant.provider, account: grant.account };
  try {
    if (grant.state === 'reauthorization_required') return await tendCondemned(context, grant);
    if (grant.state === 'active' && !(await isWanted(context, grant))) return await putOff(context, grant);
    await handOut.refresh(key, grant.generation);
    return 'refreshed';
  } catch (error) {
    if (!isGrantryError(error) || isVaultDown(error)) throw error;
    // Most failures set their own next due time. Others, such as a removed app, must not be retried in a tight loop.
    await postpone(context, grant, error);
    return 'failed';
  }
}

/** The result of one grant's turn with the workers. */
export type UpkeepOutcome = 'refreshed' | 'failed' | 'put_off' | 'second_chance' | 'shredded';

/** A part of the upkeep that is not specific to one grant. */
export interface Duty {
  /** A name for the log. */
  readonly queue: string;
  readonly run: (context: VaultContext) => Promise<unknown>;
}

/** The duties. Each has its own pace and its own failures: what holds one of them up holds up no other. */
export const duties: readonly Duty[] = [
  { queue: 'outcomes', run: (context) => context.pendingOutcomes.write(context) },
  { queue: 'spool', run: tidySpool },
  { queue: 'consents', run: (context) => finishConsents(context) },
  { queue: 'times', run: cutAllTimes },
  { queue: 'unclaimed', run: discardUnclaimed },
  { queue: 'revocations', run: (context) => revokeDue(context) },
  {
    queue: 'authorizations',
    run: (context) => changing(context, ({ tx }) => purgeAuthorizations(tx, context.times.authorizationMs)),
  },
  {
    queue: 'connect_sessions',
    run: (context) => changing(context, ({ tx }) => purgeConnectSessions(tx, context.times.connectKeptMs)),
  },
  { queue: 'token_requests', run: forgetTokenRequests },
  { queue: 'uses', run: writeUses },
  { queue: 'audit', run: tendLog },
  {
    queue: 'child_keys',
    run: (context) => changing(context, ({ tx }) => purgeChildKeys(tx, context.world.now())),
  },
];

/** Does a duty. A quarantined database stays unchanged: nothing is spent, revoked or removed. */
export async function doDuty(context: VaultContext, duty: Duty): Promise<void> {
  if (context.guard.isStale) await context.guard.recheck();
  if (context.guard.reason === null) await duty.run(context);
}

/** Commits spooled answers, and only then removes old files, since a failover may still need them. */
async function tidySpool(context: VaultContext): Promise<void> {
  const spool = await context.spool();
  // Committed answers are read only after a failover, because a busy vault keeps thousands of them.
  if (!(await recoverLostTail(context))) await replaySpool(context, { kinds: ['answer', 'refused'] });
  await replaySpool(context, { kinds: ['unread'], most: limits.unreadAnswersTried });
  const now = context.world.now();
  const unreadBefore = now - context.condemnedKeptMs;
  await spool.sweep({ olderThan: now - context.times.spoolKeptMs, unreadBefore });
}

/** Deletes token requests older than the longest rate-limit window of any provider. */
async function forgetTokenRequests(context: VaultContext): Promise<void> {
  const keptMs = limits.tokenWindowSecondsMax * 1_000;
  const limit = limits.tokenRequestsPurged;
  while ((await changing(context, ({ tx }) => purgeTokenRequests(tx, { keptMs, limit }))) === limit);
}

/**
 * Tells whether a worker should refresh a grant: it was used recently, is about to expire from disuse, or a dead holder may
 * have spent its token. Other grants wait for a caller.
 */
async function isWanted(context: VaultContext, grant: GrantSummary): Promise<boolean> {
  if (grant.lease_owner !== null) return true;
  const now = await context.store.nowMs();
  if (grant.used_at !== null && now - grant.used_at < context.times.inUseMs) return true;
  const definition = await context.providers.require(grant.provider);
  const idle = idleDueAt(context, definition, lastSpentMs(grant));
  return idle !== null && idle <= now;
}

async function putOff(context: VaultContext, grant: GrantSummary): Promise<'put_off'> {
  const definition = await context.providers.require(grant.provider);
  await reschedule(context, grant, idleDueAt(context, definition, lastSpentMs(grant)));
  return 'put_off';
}

async function tendCondemned(context: VaultContext, grant: GrantSummary): Promise<UpkeepOutcome> {
  const now = await context.store.nowMs();
  const condemnedForMs = now - (grant.condemned_at ?? now);
  if (condemnedForMs >= context.condemnedKeptMs) return shred(context, grant);
  const keptMs = context.condemnedKeptMs - condemnedForMs;
  const definition = await context.providers.require(grant.provider);
  const { reason } = grant;
  if (!hasSecondChances(definition, reason)) {
    await reschedule(context, grant, now + keptMs);
    return 'put_off';
  }
  const key = { tenant: grant.client_id, provider: grant.provider, account: grant.account };
  const report = await recoverGrant(context, key, { replacedToo: false });
  if (report.outcome === 'recovered') return 'second_chance';
  await reschedule(context, grant, now + (nextChanceInMs(context, definition, { reason, condemnedForMs }) ?? keptMs));
  return 'second_chance';
}

async function shred(context: VaultContext, grant: GrantSummary): Promise<'shredded'> {
  await changing(context, async (change) => {
    const { tx } = change;
    const row = { tenant: grant.client_id, id: grant.id, generation: grant.generation };
    if (!(await shredCondemned(tx, { ...row, at: isoNow(context) }))) return;
    await deleteCandidates(tx, { tenant: grant.client_id, grantId: grant.id });
    change.record(grant, { type: 'grant.shredded', to: grant.state, reason: grant.reason });
  });
  return 'shredded';
}

async function postpone(context: VaultContext, grant: GrantSummary, error: GrantryError): Promise<void> {
  const { workerHoldMs, doubtHoldMs } = context.times;
  const holdMs = isPressing(grant) ? doubtHoldMs : workerHoldMs;
  const pauseMs = Math.max(error.retryAfterMs ?? 0, holdMs);
  await reschedule(context, grant, (await context.store.nowMs()) + pauseMs);
}

async function reschedule(context: VaultContext, grant: GrantSummary, dueAt: number | null): Promise<void> {
  const { client_id: tenant, id, generation, due_at: claimedDueAt } = grant;
  await changing(context, ({ tx }) => rescheduleGrant(tx, { tenant, id, generation, claimedDueAt, dueAt }));
}

function lastSpentMs(grant: GrantSummary): number {
  return grant.last_refreshed_at ?? Date.parse(grant.created_at);
}
