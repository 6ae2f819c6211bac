import { CompiledQuery, type Kysely, type KyselyPlugin, type RootOperationNode } from 'kysely';

import { type Reader, writes } from '../../src/storage/database.ts';
import type { Schema } from '../../src/storage/schema.ts';
import type { Subject, Work } from './work.ts';

export interface Plan {
  readonly work: string;
  readonly statement: string;
  readonly lines: readonly string[];
  /** Tells whether a table is read from end to end. */
  readonly scans: boolean;
}

/** Returns the database's plan for each statement of a work. */
export async function plansOf(subject: Subject, work: Work): Promise<Plan[]> {
  const { store } = subject.context;
  const seen: RootOperationNode[] = [];
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      seen.push(node);
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const watched = {
    ...store,
    db: Object.assign(watch(store.db, plugin), { rows: store.db.rows }),
    transaction: (fn: Parameters<typeof store.transaction>[0], options?: { long?: boolean }) =>
      store.transaction(
        (tx) =>
          fn(
            Object.assign(watch(tx, plugin), {
              locked: tx.locked,
              changeMark: tx.changeMark,
              rows: tx.rows,
              [writes]: true,
            } as const),
          ),
        options,
      ),
  };
  // The transaction has a generic result, which a spread object cannot express.
  const context = { ...subject.context, store: watched as typeof store };
  await work.once({ ...subject, context }, 1);
  const plans = new Map<string, Plan>();
  for (const node of seen) {
    const plan = await explain(wholeOf(store.db), store.kind, work, node);
    if (plan !== undefined) plans.set(plan.statement, plan);
  }
  return [...plans.values()];
}

/** The handles of the vault are whole ones, of which it shows only what it needs. */
function wholeOf(handle: Reader): Kysely<Schema> {
  return handle as unknown as Kysely<Schema>;
}

function watch(handle: Reader, plugin: KyselyPlugin) {
  return Object.assign(wholeOf(handle).withPlugin(plugin), { now: handle.now });
}

async function explain(
  db: Kysely<Schema>,
  kind: 'sqlite' | 'postgres',
  work: Work,
  node: RootOperationNode,
): Promise<Plan | undefined> {
  if (node.kind === 'InsertQueryNode') return undefined;
  const executor = db.getExecutor();
  const query = executor.compileQuery(node, { queryId: 'plan' });
  if (!/oauth_tokens|grantry_/.test(query.sql)) return undefined;
  const word = kind === 'sqlite' ? 'explain query plan ' : 'explain ';
  const { rows } = await db.executeQuery<Record<string, unknown>>(
    CompiledQuery.raw(`${word}${query.sql}`, [...query.parameters]),
  );
  const lines = rows.map((row) => String(row['detail'] ?? row['QUERY PLAN']));
  const whole = lines.filter((line) =>
    work.mayScanIndex === true ? /Seq Scan|SCAN \w+$/.test(line) : /Seq Scan|SCAN (?:oauth_tokens|grantry_)/.test(line),
  );
  return { work: work.name, statement: query.sql.slice(0, 60), lines, scans: whole.length > 0 };
}
