import { GrantryError } from '../../src/base/errors.ts';
import { type JudgedGrant, nameOf } from './judge.ts';
import type { Life } from './life.ts';
import type { Simulation } from './simulation.ts';

/** Replies of a grant that may yet change, as is any that says when to come again: worth another try. */
const passing = new Set(['refresh_uncertain', 'provider_throttled', 'provider_unavailable', 'storage_unavailable']);
const triesMax = 60;
/** How long the healed world may need to replay a spent token inside its overlap. */
const recoveryMs = 60_000;
/** A condemned grant is not asked for again and again: its second chances, once per token that is kept. */
const requestsWhileCondemnedMax = 8;

/**
 * The last word on a grant, once the faults have ended: it works, proven by a refresh and a call with the new token, or
 * it is lost and says so, and the loss is one that nobody could have prevented.
 */
export async function finalVerdict(simulation: Simulation, life: Life, grant: JudgedGrant): Promise<void> {
  const { judge, coverage } = simulation;
  const condemned = grant.row?.state === 'reauthorization_required';
  checkReports(simulation, grant);
  if (grant.requestsWhileCondemned > requestsWhileCondemnedMax) {
    judge.violated(`${nameOf(grant)} was asked for ${grant.requestsWhileCondemned} times after it was given up`);
  }
  const outcome = await probe(simulation, life, grant);
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
  checkReports(simulation, grant);
  if (judge.livingTokens(grant).some((token) => token.stored)) await expectRecovery(simulation, life, grant, condemned);
  else checkLoss(simulation, grant);
}

/** Tries until the grant works or has a settled reason why not. */
async function probe(simulation: Simulation, life: Life, grant: JudgedGrant): Promise<string> {
  const key = { tenant: grant.tenant, provider: grant.provider };
  const { vault } = life;
  if (vault === undefined) return 'no vault';
  let last = 'nothing';
  for (let tries = 0; tries < triesMax; tries += 1) {
    try {
      const token = await simulation.callers.call(life, grant, 'getAccessToken', () => vault.getAccessToken(key));
      simulation.simulator.killAccessToken(token.accessToken);
      const fresh = await simulation.callers.reject(life, grant, token.generation);
      if ((await simulation.callers.use(life, grant, fresh)) === true) return 'works';
      last = 'a fresh token that does not work';
    } catch (error) {
      if (!(error instanceof GrantryError)) throw error;
      last = error.code;
      if (!passing.has(error.code) && error.retryAfterMs === undefined) return last;
      await life.sleep((error.retryAfterMs ?? 1_000) + 100);
    }
  }
  return last;
}

/** Each loss is told once: never again and again, and never by two names. */
function checkReports(simulation: Simulation, grant: JudgedGrant): void {
  let told = 0;
  for (const { type } of simulation.judge.events(grant)) {
    if (type === 'grant.reauthorization_required') told += 1;
    if (['grant.stored', 'grant.connected', 'grant.revived', 'grant.refreshed', 'grant.disconnected'].includes(type))
      told = 0;
    if (told > 1) {
      simulation.judge.violated(`${nameOf(grant)} was reported lost twice`);
      return;
    }
  }
}

/** It was given up though the provider would honour a token that we have: only lies may have done that, and not for good. */
async function expectRecovery(
  simulation: Simulation,
  life: Life,
  grant: JudgedGrant,
  condemned: boolean,
): Promise<void> {
  const { judge, coverage } = simulation;
  if (!grant.excuses.has('lied') && !grant.excuses.has('wild')) {
    judge.violated(
      `I4: ${nameOf(grant)} is given up with a living token in the database (${condemned ? 'before' : 'after'} the last look)`,
    );
    return;
  }
  const report = await life.vault?.recover({ tenant: grant.tenant, provider: grant.provider });
  coverage.count('grants that recover brought back');
  if (report?.outcome !== 'recovered')
    judge.violated(`${nameOf(grant)} could not be recovered: ${report?.outcome ?? '-'} ${report?.error ?? ''}`);
}

/** The provider knows no living token that we have: was there a way to prevent that? */
function checkLoss(simulation: Simulation, grant: JudgedGrant): void {
  const { judge, coverage } = simulation;
  const { excuses } = grant;
  if (excuses.has('revoked_by_user')) {
    coverage.count('grants that a user revoked');
    return;
  }
  if (judge.livingTokens(grant).some((token) => !judge.isStruck(token)))
    judge.violated(`I2: a living token of ${nameOf(grant)} had arrived, and is kept nowhere`);
  const reason = grant.row?.reason ?? '-';
  if (!isExcused(simulation, grant)) {
    judge.violated(`grant lost: ${nameOf(grant)} (${reason}); excuses: ${[...excuses.keys()].join(', ') || 'none'}`);
    return;
  }
  coverage.count(`grants lost by the provider's rules: ${grant.provider}`);
  const unknowable = excuses.has('lied') || excuses.has('wild') || judge.newestWasOvertaken(grant);
  if (reason !== 'lost_rotation' && !unknowable) judge.violated(`the loss of ${nameOf(grant)} is called ${reason}`);
}

/** What the provider's rotation class cannot promise (see docs/reliability.md). */
function isExcused(simulation: Simulation, grant: JudgedGrant): boolean {
  const profile = simulation.plan.profiles.find(({ id }) => id === grant.provider);
  if (profile === undefined) return false;
  const { kind, overlapSeconds } = profile.rotation;
  if (kind === 'none' || kind === 'retire_on_use') return false;
  if (grant.excuses.has('wild')) return true;
  if (!simulation.judge.newestWasLost(grant)) return false;
  if (kind === 'strict' || simulation.judge.newestWasOvertaken(grant)) return true;
  return simulation.judge.storedSpentAt(grant) + overlapSeconds * 1_000 < simulation.healedAt + recoveryMs;
}
