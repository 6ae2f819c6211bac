import type { Edit } from '../source-edits.ts';
import type { Focus } from './host/swarm.ts';

/** One guard taken out of the source, as it is loaded; the files stay as they are. */
export interface Mutation {
  readonly name: string;
  /** The guard, in a few words. */
  readonly guard: string;
  readonly edits: readonly Edit[];
  /** The world where the guard matters. Other worlds show its lack later. */
  readonly focus: Focus;
  /** The reason why nothing is lost when only this guard is missing; `pair` takes both away. */
  readonly covered?: { readonly because: string; readonly pair: string };
}

const late: Focus = {
  providers: ['overlap_newest_only', 'timed_overlap', 'retire_on_use'],
  faults: { pause: 2.5, slow_answer: 2 },
};

const saveByFence: Edit = {
  file: '/src/storage/statements/leases.ts',
  from: "    .where('lease_fence', '=', lease.fence)\n    .where('generation', '=', lease.generation)\n    .where('state', '!=', 'disconnected')\n    .$call(changedOne);\n}\n\nexport interface GrantVerdict",
  to: "    .where('generation', '=', lease.generation)\n    .where('state', '!=', 'disconnected')\n    .$call(changedOne);\n}\n\nexport interface GrantVerdict",
};

const saveByGeneration: Edit = {
  ...saveByFence,
  to: "    .where('lease_fence', '=', lease.fence)\n    .where('state', '!=', 'disconnected')\n    .$call(changedOne);\n}\n\nexport interface GrantVerdict",
};

const blindSave: Edit = {
  ...saveByFence,
  to: "    .where('state', '!=', 'disconnected')\n    .$call(changedOne);\n}\n\nexport interface GrantVerdict",
};

const firstRefusalCounts: Edit = {
  file: '/src/vault/refresh/verdict.ts',
  from: '  if (confirmInMs > 0 || (inOverlap && refusals.length < overlapRefusalsMax)) {',
  to: '  if (inOverlap && refusals.length < overlapRefusalsMax) {',
};

const unspooled: Edit = {
  file: '/src/vault/refresh/refresh.ts',
  from: '    await plan.slot.keep(claim.head, plan.tenantKeys, answer);',
  to: '',
};

/** Narrow worlds that show what the wide one shows seldom. */
export const worlds: readonly { readonly name: string; readonly focus: Focus }[] = [
  { name: 'plain', focus: { plain: true } },
  { name: 'closing', focus: { providers: ['retire_on_use'], faults: { restart: 2.5, slow_answer: 5 } } },
  {
    name: 'odd',
    focus: {
      providers: ['strict', 'strict_revokes_family', 'timed_overlap'],
      faults: { odd_answer: 5, unstorable: 2 },
    },
  },
  {
    name: 'handed-in',
    focus: {
      providers: ['strict', 'retire_on_use', 'timed_overlap'],
      faults: { import_old: 3, reauthorize: 2, reset_after: 1, disconnect: 0.5 },
    },
  },
  {
    name: 'consents',
    focus: { faults: { lost_consent: 2, reconnect_bare: 3, reset_after: 1, slow_answer: 1, crash: 0.5 } },
  },
  { name: 'shared', focus: { providers: ['none'], faults: { shared_token: 1, disconnect: 3, reauthorize: 1 } } },
  { name: 'commits', focus: { faults: { refused_commit: 3, slow_commit: 2, disconnect: 1, crash: 1 } } },
  { name: 'late-commit', focus: { providers: ['none', 'strict'], faults: { disconnect: 5, slow_commit: 1 } } },
  {
    name: 'incident',
    focus: { providers: ['strict', 'strict_revokes_family'], faults: { status_before: 1, lasting_lie: 1 } },
  },
  {
    name: '503-lie',
    focus: { providers: ['strict', 'strict_revokes_family'], faults: { status_before: 3, lie: 2.5 } },
  },
  { name: 'unseen', focus: { faults: { unseen_death: 1, crash: 2.5, reset_after: 1, slow_answer: 1 } } },
  {
    name: 'siblings',
    focus: { providers: ['overlap_newest_only'], faults: { pause: 5, slow_request: 6, slow_answer: 6 } },
  },
  { name: 'outage', focus: { providers: ['none', 'timed_overlap', 'retire_on_use'], faults: { status_before: 11 } } },
];

/** The worlds, beside the wide one, in which a change of a condition shows soonest. */
export const sieve: readonly string[] = (
  'odd handed-in consents commits 503-lie unseen outage ' +
  'fence candidates suspect spool half-lease reauthorization-fence lease-length intent'
).split(' ');

/** Guards of the protocol, each taken out by itself, in the world where it matters. `npm run mutants` has every condition. */
export const mutations: readonly Mutation[] = [
  {
    name: 'fence',
    guard: 'the save asks for the fence of the lease',
    edits: [saveByFence],
    // A late answer is saved over the newer one that is under way: it matters where only the newest lives.
    focus: { providers: ['overlap_newest_only'], faults: { pause: 2.5, slow_answer: 5 } },
  },
  {
    name: 'generation',
    guard: 'the save asks for the generation that was spent',
    edits: [saveByGeneration],
    focus: late,
    covered: {
      because:
        'the generation changes only in a save, which only the newest claim can make, or with a new authorization: both raise the fence',
      pair: 'blind-save',
    },
  },
  { name: 'blind-save', guard: 'the save asks for fence and generation', edits: [blindSave], focus: late },
  {
    name: 'candidates',
    guard: 'an answer that came too late is parked as a candidate',
    focus: { providers: ['strict'], faults: { pause: 2.5, slow_answer: 2.5 } },
    edits: [
      {
        file: '/src/vault/refresh/save.ts',
        from: '    if (row === undefined || !isHeld(row, lease)) return park(',
        to: "    if (row === undefined || !isHeld(row, lease)) return globalThis.process !== undefined ? 'nothing' : park(",
      },
    ],
  },
  {
    name: 'save-before-use',
    // Nothing stands in the way that could be taken out: a use before the save is put in.
    guard: 'no caller uses a token before it is saved (a use is put in, since no single line keeps it out)',
    focus: { providers: ['retire_on_use'], faults: { step_crash: 2 } },
    edits: [
      {
        file: '/src/vault/refresh/refresh.ts',
        from: '    // Point of no return, second half: the answer exists only in this process.\n',
        to:
          '    const early = /"access_token":"([^"]+)"/.exec(answer.body?.reveal() ?? \'\')?.[1];\n' +
          "    if (early !== undefined) await context.world.fetch(`${new URL(plan.definition.endpoints.token).origin}/api/organization`, { method: 'GET', headers: { authorization: `Bearer ${early}` } }).catch(() => {});\n",
      },
    ],
  },
  {
    name: 'intent',
    guard: 'the intent to spend a token is written before it is spent',
    focus: { providers: ['strict'], faults: { crash: 2.5, reset_after: 2 } },
    edits: [
      {
        file: '/src/vault/refresh/claim.ts',
        from: '  await insertAttempt(tx, {',
        to: '  if (globalThis.process === undefined) await insertAttempt(tx, {',
      },
    ],
  },
  {
    name: 'lease-length',
    guard: 'where a replay kills, the lease outlives the answer deadline',
    focus: { providers: ['strict', 'strict_revokes_family'], faults: { slow_answer: 2.5, slow_request: 2.5 } },
    edits: [
      {
        file: '/src/vault/refresh/lease-kind.ts',
        from: '  const { rotation, overlapSeconds } = definition.refreshToken;\n',
        to: "  if (globalThis.process !== undefined) return 'renewed';\n  const { rotation, overlapSeconds } = definition.refreshToken;\n",
      },
      {
        file: '/src/vault/refresh/lease.ts',
        from: "  if (kind === 'renewed') {\n    renew()",
        to: '  if (globalThis.process === undefined) {\n    renew()',
      },
    ],
  },
  {
    name: 'suspect',
    guard: 'a first refusal is confirmed before it counts',
    focus: { providers: ['none', 'retire_on_use'], faults: { lie: 1 } },
    edits: [firstRefusalCounts],
  },
  {
    name: 'suspect-strict',
    guard: 'the same at a strict provider, where no answer was lost',
    focus: { providers: ['strict'], faults: { lie: 1 } },
    edits: [firstRefusalCounts],
  },
  {
    name: 'spool',
    guard: 'the raw answer is kept in a flushed file before anything else',
    focus: { providers: ['strict', 'timed_overlap'], faults: { store_outage: 2.5, store_after: 2.5, crash: 2.5 } },
    edits: [unspooled],
  },
  {
    name: 'spool-disk',
    guard: 'the same where a disk may fail, though it hardly ever does',
    focus: {
      providers: ['strict', 'timed_overlap'],
      faults: { store_outage: 2.5, store_after: 2.5, crash: 2.5, disk: 0.000_01 },
    },
    edits: [unspooled],
  },
  {
    name: 'reauthorization-fence',
    guard: 'answers to an authorization that is over are not tried again',
    focus: { providers: ['retire_on_use', 'none', 'strict'], faults: { reauthorize: 5, slow_answer: 9 } },
    edits: [
      {
        file: '/src/vault/refresh/save.ts',
        from: '  if (known || (generation < row.authorized_generation && replaced === undefined)) {',
        to: '  if (known) {',
      },
      {
        file: '/src/vault/refresh/save.ts',
        from: '    if (row.last_refreshed_at === null) await deleteCandidates(tx, { tenant, grantId, belowGeneration });\n',
        to: '',
      },
      {
        file: '/src/storage/statements/candidates.ts',
        from: "    .where('state', '=', 'untested')\n    .where('generation', '>=', grant.authorizedGeneration)",
        to: "    .where('state', '=', 'untested')",
      },
    ],
  },
  {
    name: 'reauthorization-lease',
    guard: 'a new authorization takes the lease away from the refresh of the old one, as the next generation',
    focus: { providers: ['retire_on_use', 'none', 'strict'], faults: { reauthorize: 2.5, slow_answer: 2.5 } },
    edits: [
      {
        file: '/src/storage/statements/grants.ts',
        from: 'lease_fence: seen.lease_fence + 1 }',
        to: '}',
      },
      {
        file: '/src/vault/grant/put-authorization.ts',
        from: 'const authorizedGeneration = (old?.generation ?? 0) + 1;',
        to: 'const authorizedGeneration = old?.generation ?? 1;',
      },
    ],
  },
  {
    name: 'half-lease',
    guard: "half of a dead holder's lease is waited for where tokens rotate",
    focus: { providers: ['overlap_newest_only', 'retire_on_use'], faults: { crash: 7, slow_request: 7 } },
    edits: [
      {
        file: '/src/vault/refresh/lease-kind.ts',
        from: 'renewedLeaseMs : renewedLeaseMs / 2 };',
        to: 'renewedLeaseMs : renewedLeaseMs };',
      },
    ],
  },
];
