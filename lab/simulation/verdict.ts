import { GrantryError } from '../../src/base/errors.ts';
import type { Calls } from './calls.ts';
import { isSuperseded, unsaved } from './judge/consents.ts';
import { type JudgedGrant, nameOf } from './judge/judge.ts';
import type { Life } from './world/life.ts';
import type { WorldState } from './world/state.ts';

interface Scene {
  readonly state: WorldState;
  readonly calls: Calls;
}

/** Replies of a grant that may yet change, as is any that says when to come again: worth another try. */
const passing = new Set(['refresh_uncertain', 'provider_throttled', 'provider_unavailable', 'storage_unavailable']);
const triesMax = 60;
/** Time limit for the healed world to replay a spent token inside its overlap. */
const recoveryMs = 60_000;
/** Second chances of a condemned grant, and the requests of `recover`. */
const secondChancesMax = 4;
/** A condemned grant is not asked for again and again: its second chances, once per token that is kept. */
const requestsWhileCondemnedMax = 8;

/**
 * The last word on a grant, once the faults have ended: it works, proven by a refresh and a call with the new token, or
 * it is lost and says so, and no process could have prevented the loss.
 */
export async function finalVerdict(scene: Scene, life: Life, grant: JudgedGrant): Promise<void> {
  const { judge, coverage } = scene.state;
  const condemned = grant.row?.state === 'reauthorization_required';
  checkReports(scene.state, grant);
  if (grant.requestsWhileCondemned > requestsWhileCondemnedMax) {
    judge.violated(`${nameOf(grant)} was asked for ${grant.requestsWhileCondemned} times after it was given up`);
  }
  checkConsents(scene.state, grant);
  const outcome = await probe(scene, life, grant);
  if (outcome === 'works') {
    coverage.count('grants alive at the end');
    return;
  }
  if (grant.row?.state === 'disconnected' && outcome === 'grant_not_found') {
    coverage.count('grants disconnected at the end');
    return;
  }
  if (outcome !== 'reauthorization_required') {
    judge.violated(`I6: ${nameOf(grant)} ended with ${outcome}`);
    return;
  }
  checkReports(scene.state, grant);
  if (judge.livingTokens(grant).some((token) => token.stored))
    await expectRecovery(scene.state, life, grant, condemned);
  else checkLoss(scene.state, grant);
}

/** Tries until the grant works or has a settled reason why not. */
async function probe(scene: Scene, life: Life, grant: JudgedGrant): Promise<string> {
  const key = { tenant: grant.tenant, provider: grant.provider };
  const { vault } = life;
  if (vault === undefined) return 'no vault';
  let last = 'nothing';
  for (let tries = 0; tries < triesMax; tries += 1) {
    try {
      const token = await scene.calls.call(life, grant, 'getAccessToken', () => vault.getAccessToken(key));
      scene.state.simulator.killAccessToken(token.accessToken);
      const fresh = await scene.calls.reject(life, grant, token.generation);
      if ((await scene.calls.use(life, grant, fresh)) === true) return 'works';
      last = 'a fresh token that does not work';
    } catch (error) {
      if (!(error instanceof GrantryError)) throw error;
      last = error.code;
      // A process withholds a grant until it knows whether the database kept its disconnect.
      const isWithheld = error.code === 'grant_not_found' && grant.row?.state !== 'disconnected';
      if (!isWithheld && !passing.has(error.code) && error.retryAfterMs === undefined) return last;
      await life.sleep((error.retryAfterMs ?? 1_000) + 100);
    }
  }
  return last;
}

/**
 * Each loss is told once: never again and again, and never by two names. If the answer to a second chance is lost, the
 * token may have been replaced: an event tells that the grant is in doubt again, and the next verdict is a new one.
 */
function checkReports(state: WorldState, grant: JudgedGrant): void {
  let told = 0;
  let doubts = 0;
  for (const { type } of state.judge.events(grant)) {
    if (type === 'grant.reauthorization_required') told += 1;
    if (type === 'grant.uncertain' && told === 1 && doubts < secondChancesMax) {
      state.judge.excuse('a loss was told again, after the answer to a second chance was lost');
      doubts += 1;
      told = 0;
    }
    if (['grant.stored', 'grant.connected', 'grant.revived', 'grant.refreshed', 'grant.disconnected'].includes(type))
      told = 0;
    if (told > 1) {
      state.judge.violated(`${nameOf(grant)} was reported lost twice`);
      return;
    }
  }
}

/** A consent whose tokens came to a living process is not asked for again: its tokens are in the row, or newer ones are. */
function checkConsents({ judge, plan }: WorldState, grant: JudgedGrant): void {
  if (grant.row?.state === 'disconnected') return;
  for (const consent of unsaved(grant)) {
    if (isSuperseded(grant, consent, judge.clocks)) judge.excuse('a consent was not kept: something newer came');
    else if (plan.faults.disk > 0) judge.excuse('a consent was not kept, and the disk failed in this run');
    else
      judge.violated(
        `a consent for ${nameOf(grant)} had arrived at ${consent.arrivedAt?.toFixed(0) ?? '-'} ms, and is kept nowhere`,
      );
  }
}

/** It was given up though the provider would honour a token that we have: only lies may have done that, and not for good. */
async function expectRecovery(state: WorldState, life: Life, grant: JudgedGrant, condemned: boolean): Promise<void> {
  const { judge, coverage } = state;
  if (!grant.excuses.has('lied') && !grant.excuses.has('wild')) {
    judge.violated(
      `I4: ${nameOf(grant)} is given up with a living token in the database (${condemned ? 'before' : 'after'} the last look)`,
    );
    return;
  }
  // It tries every token that was kept, also one of an earlier authorization.
  grant.family = null;
  const recover = () => life.vault?.recover({ tenant: grant.tenant, provider: grant.provider });
  let report = await recover();
  // Another process is at it.
  for (let again = 0; report?.outcome === 'under_way' && again < 5; again += 1) {
    await life.sleep(1_000);
    report = await recover();
  }
  judge.excuse('given up after refusals without cause; recover must bring it back');
  coverage.count('grants that recover brought back');
  // `not_needed`: the other process has brought it back.
  if (report?.outcome !== 'recovered' && report?.outcome !== 'not_needed')
    judge.violated(`${nameOf(grant)} could not be recovered: ${report?.outcome ?? '-'} ${report?.error ?? ''}`);
}

/** The provider knows no living token that we have: was there a way to prevent that? */
function checkLoss(state: WorldState, grant: JudgedGrant): void {
  const { judge, coverage } = state;
  const { excuses } = grant;
  if (excuses.has('revoked_by_user')) {
    judge.excuse('lost: a user revoked it');
    return;
  }
  if (judge.livingTokens(grant).some((token) => !judge.isStruck(token)))
    judge.violated(`I2: a living token of ${nameOf(grant)} had arrived, and is kept nowhere`);
  const reason = grant.row?.reason ?? '-';
  const excuse = excuseFor(state, grant);
  if (excuse === null) {
    const early = judge.wasSentTooEarly(grant) ? '; a process did not wait for the requests of a dead one' : '';
    const known = [...excuses.keys()].join(', ') || 'none';
    judge.violated(`grant lost: ${nameOf(grant)} (${reason}); excuses: ${known}${early}`);
    return;
  }
  judge.excuse(`lost: ${excuse}`);
  coverage.count(`grants lost by the provider's rules: ${grant.provider}`);
  const misled = (['lied', 'wild', 'imported_dead'] as const).some((kind) => excuses.has(kind));
  const unknowable = misled || judge.newestWasOvertaken(grant);
  if (reason !== 'lost_rotation' && !unknowable) judge.violated(`the loss of ${nameOf(grant)} is called ${reason}`);
}

/** Why no behaviour of ours could have prevented the loss (see docs/reliability.md). Null if one could. */
function excuseFor(state: WorldState, grant: JudgedGrant): string | null {
  const profile = state.plan.profiles.find(({ id }) => id === grant.provider);
  if (grant.excuses.has('imported_dead')) return 'a job handed in a used token for a grant that was over';
  if (profile === undefined) return null;
  const { kind, overlapSeconds } = profile.rotation;
  if (kind === 'none' || kind === 'retire_on_use') return null;
  if (grant.excuses.has('wild')) return 'a clock jumped wildly';
  if (state.judge.newestWasOvertaken(grant)) return 'the newest answer overtook its request';
  if (!state.judge.newestWasLost(grant)) return null;
  if (kind === 'strict') return 'the newest answer was lost, and the provider honours no other';
  const endedAt = state.judge.storedSpentAt(grant) + overlapSeconds * 1_000;
  return endedAt < state.healedAt + recoveryMs
    ? 'the newest answer was lost, and the overlap ended in the faults'
    : null;
}
