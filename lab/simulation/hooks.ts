import { registerHooks } from 'node:module';
import { type Edit, loadEdited } from '../source-edits.ts';
import type { Mutation } from './mutants.ts';

/**
 * Switches off work that costs real time and shows nothing. Caches are made in full size when a vault opens, and a run opens dozens of
 * vaults for four grants; half of all events were looks of waiters and of the change feed, which now look as seldom as
 * they do on PostgreSQL.
 */
export const economies: readonly Edit[] = [
  { file: '/src/base/limits.ts', from: 'cacheEntriesMax: 100_000', to: 'cacheEntriesMax: 100' },
  { file: '/src/base/limits.ts', from: 'tenantKeysMax: 5_000', to: 'tenantKeysMax: 100' },
  { file: '/src/vault/internals.ts', from: 'refusedClientsMax = 10_000', to: 'refusedClientsMax = 100' },
  { file: '/src/base/limits.ts', from: 'waiterPollMaxMs: 100', to: 'waiterPollMaxMs: 1_000' },
  { file: '/src/base/limits.ts', from: 'feedSqliteMs: 500', to: 'feedSqliteMs: 2_000' },
];

/**
 * Puts the simulation's ports where the product reaches for the machine, and, for a mutation run, takes one guard out of
 * the source as it is loaded. Nothing of this is in the product: it loads its modules as they are.
 *
 * Must run before the first product module is imported.
 */
export function installHooks(mutation: Mutation | null): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const parent = context.parentURL ?? '';
      const port = portFor(specifier, parent);
      return nextResolve(port === null ? specifier : new URL(`./ports/${port}`, import.meta.url).href, context);
    },
    load: loadEdited([...economies, ...(mutation?.edits ?? [])]),
  });
}

function portFor(specifier: string, parent: string): string | null {
  if (parent.includes('/src/vault/')) {
    if (specifier === 'node:fs/promises') return 'fs-promises.ts';
    if (specifier === 'node:fs') return 'fs.ts';
  }
  if (parent.endsWith('/src/storage/engine/sqlite.ts') && specifier === 'node:sqlite') return 'driver.ts';
  if (parent.endsWith('/src/storage/engine/postgres.ts') && specifier === 'pg') return 'pg.ts';
  if (parent.endsWith('/src/storage/store.ts') && specifier === './engine/sqlite.ts') return 'sqlite.ts';
  if (parent.endsWith('/src/storage/store.ts') && specifier === './engine/postgres.ts') return 'postgres.ts';
  return null;
}
