import { registerHooks } from 'node:module';
import type { Edit, Mutation } from './mutants.ts';

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
  const allEdits = [...economies, ...(mutation?.edits ?? [])];
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const parent = context.parentURL ?? '';
      const port = portFor(specifier, parent);
      return nextResolve(port === null ? specifier : new URL(`./ports/${port}`, import.meta.url).href, context);
    },
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const edits = allEdits.filter((edit) => url.endsWith(edit.file));
      if (edits.length === 0) return loaded;
      const source = textOf(loaded.source);
      return { ...loaded, source: edits.reduce(edited, source) };
    },
  });
}

/** A guard that was rewritten must not go on as a check that cannot fail: what is to be taken out must be there, once. */
function edited(source: string, { file, from, to }: Edit): string {
  const places = source.split(from).length - 1;
  if (places !== 1) throw new Error(`found ${places} times, not once, in ${file}: ${from}`);
  return source.replace(from, () => to);
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray | null | undefined): string {
  if (typeof source === 'string') return source;
  if (source === null || source === undefined) throw new Error('a module without source');
  return new TextDecoder().decode(source);
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
