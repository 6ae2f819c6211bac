/** The files whose conditions are mutated: every decision on spending, keeping and giving up a token. */
export const subjects: readonly string[] = [
  ...['claim', 'settle', 'save', 'verdict', 'plan', 'replay', 'overlap', 'lease', 'lease-kind', 'refresh', 'hasty'].map(
    (name) => `src/vault/refresh/${name}.ts`,
  ),
  ...['leases', 'candidates', 'attempts'].map((name) => `src/storage/statements/${name}.ts`),
  ...['store-tokens', 'put-authorization', 'newest', 'revocations'].map((name) => `src/vault/grant/${name}.ts`),
];

/** Tests that ask most of these files, quick ones first. A folder stands for its fast tests. */
export const quickTests: readonly string[] = [
  'src/storage/statements',
  'src/vault/refresh',
  'src/vault/grant',
  'src/vault/connect/consent.long.test.ts',
  'src/vault/disconnect.test.ts',
];

/** The other tests that reach them, for mutants that everything else lets live. */
export const slowTests: readonly string[] = [
  'src/vault/spool',
  'src/vault/hand-out',
  'src/vault/upkeep',
  'src/vault/connect',
  'src/vault/neighbours.test.ts',
  'src/vault/model.test.ts',
  'src/vault/guard',
  'src/vault/drop-in',
  'src/vault/acceptance.test.ts',
  'src/vault/faults.test.ts',
];
