import { type Calls, describe } from './calls.ts';
import { isSuperseded, unsaved } from './judge/consents.ts';
import { type JudgedGrant, nameOf } from './judge/judge.ts';
import { finalVerdict } from './verdict.ts';
import type { Life } from './world/life.ts';
import type { WorldState } from './world/state.ts';

interface Scene {
  readonly state: WorldState;
  readonly calls: Calls;
  readonly lives: readonly (Life | undefined)[];
}

const calmMs = 8_000;
/** Time limit for the healed world to store a consent whose tokens came. */
const consentMs = 60_000;
const lastLookMs = 1_800_000;

/** Waits without faults until every grant is settled, then judges each one. */
export async function settle(scene: Scene, limitMs: number): Promise<void> {
  const { scheduler, judge, coverage } = scene.state;
  const endsAt = scheduler.now + limitMs;
  let calmSince = scheduler.now;
  while (judge.violations.length === 0 && scheduler.now < endsAt && scheduler.now - calmSince < calmMs) {
    await scheduler.runUntil(scheduler.now + 2_000, () => judge.violations.length > 0);
    if (unsettled(scene).length > 0) calmSince = scheduler.now;
  }
  for (const call of scene.calls.overdue()) judge.violated(`I5: ${call} never ended`);
  if (scheduler.now >= endsAt) {
    judge.violated(`I6: not settled after the faults ended: ${unsettled(scene).join(', ')}`);
  }
  coverage.count('seconds until settled', Math.round((scheduler.now - endsAt + limitMs) / 1_000));
  if (judge.violations.length === 0) await judgeAll(scene);
}

async function judgeAll(scene: Scene): Promise<void> {
  const { scheduler, judge, behindMs } = scene.state;
  const life = scene.lives.find(isServing);
  if (life === undefined) {
    judge.violated('I6: no process runs after the faults ended');
    return;
  }
  let finished = 0;
  for (const grant of judge.grants) {
    finalVerdict(scene, life, grant)
      .catch((error: unknown) => judge.violated(`the last look at ${nameOf(grant)} failed: ${describe(error)}`))
      .finally(() => {
        finished += 1;
      });
  }
  await scheduler.runUntil(scheduler.now + lastLookMs + behindMs, () => finished === judge.grants.length);
  if (finished < judge.grants.length) judge.violated('I6: the last look at a grant did not end');
}

function unsettled({ state, calls, lives }: Scene): string[] {
  const doubtful = state.judge.grants
    .filter(({ row }) => row?.state === 'uncertain' || row?.state === 'suspect')
    .map((grant) => `${nameOf(grant)} is ${grant.row?.state ?? '?'}`);
  // A call that waits for a busy database, or a file in the spool.
  const isEarly = state.scheduler.now < state.healedAt + consentMs;
  const waiting = isEarly ? state.judge.grants.filter((grant) => isAwaited(state, grant)) : [];
  const down = lives.filter((life) => !isServing(life));
  return [
    ...doubtful,
    ...waiting.map((grant) => `a consent for ${nameOf(grant)} waits`),
    ...down.map(() => 'a process is down'),
    ...calls.waiting().map((what) => `${what} waits`),
  ];
}

function isAwaited({ judge }: WorldState, grant: JudgedGrant): boolean {
  return unsaved(grant).some((consent) => !isSuperseded(grant, consent, judge.clocks));
}

/** A process serves while its vault is open: a vault that is closing refuses new calls. */
function isServing(life: Life | undefined): life is Life {
  return life !== undefined && !life.dead && !life.closing && life.vault !== undefined;
}
