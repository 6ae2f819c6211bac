import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The files whose conditions are mutated: every decision on spending, keeping and giving up a token. */
export const subjects: readonly string[] = [
  ...['claim', 'settle', 'save', 'verdict', 'plan', 'replay', 'overlap', 'lease', 'lease-kind', 'refresh', 'hasty'].map(
    (name) => `src/vault/refresh/${name}.ts`,
  ),
  ...['leases', 'candidates', 'attempts'].map((name) => `src/storage/statements/${name}.ts`),
  ...['store-tokens', 'put-authorization', 'newest', 'revocations'].map((name) => `src/vault/grant/${name}.ts`),
];

/** Tests that ask most of these files. A folder stands for its fast tests. */
const quickTests: readonly string[] = [
  'src/storage/statements',
  'src/vault/refresh',
  'src/vault/grant',
  'src/vault/connect/consent.long.test.ts',
  'src/vault/disconnect.test.ts',
];

/** The other tests that reach them. */
const slowTests: readonly string[] = [
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
  'src/vault/bulkhead.test.ts',
  'src/vault/grant-trouble.test.ts',
  'src/vault/api',
  'src/vault/take-over/take-over.test.ts',
  'src/workers/overlap.test.ts',
  'test/vault/altered.test.ts',
  'test/vault/call.test.ts',
];

/** It puts another `node:fs` under all modules, and they are loaded once for all tests. */
const left = 'short-writes.test.ts';

/** The test files, by repository path. */
export function testFiles(root: string, slow: boolean): string[] {
  const named = slow ? [...quickTests, ...slowTests] : quickTests;
  const found = named.flatMap((place) => {
    if (statSync(join(root, place)).isFile()) return [place];
    const names = readdirSync(join(root, place), { recursive: true, encoding: 'utf8' });
    return names
      .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.long.test.ts') && !name.endsWith(left))
      .map((name) => `${place}/${name.replaceAll('\\', '/')}`);
  });
  return [...new Set(found)];
}
