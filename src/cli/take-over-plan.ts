import type { Store } from '../storage/store.ts';
import { type Context, databaseExists } from './context.ts';
import { stderrLogger } from './log.ts';
import { withProgress } from './progress.ts';

/** Lists what `grantry init` would take over, and changes nothing. */
export async function printPlan(context: Context): Promise<void> {
  if (!(await databaseExists(context))) {
    return nothing(context, 'absent', 'There is no database yet: grantry init makes one, and takes nothing over.');
  }
  const { openStore } = await import('../storage/store.ts');
  const { settings, world } = context;
  const store = await withProgress(world, 'Asking the database', () =>
    openStore({ database: settings.database, world, logger: stderrLogger(world, settings.logLevel) }),
  );
  try {
    await printPlanOf(context, store);
  } finally {
    await store.close();
  }
}

async function printPlanOf(context: Context, store: Store): Promise<void> {
  const { inspectGrantTable } = await import('../storage/migrations.ts');
  const table = await inspectGrantTable(store);
  if (table === 'absent')
    return nothing(context, table, 'The database has no oauth_tokens table: grantry init makes one.');
  if (table === 'ours')
    return nothing(context, table, 'The oauth_tokens table is Grantry’s already: nothing is to be taken over.');
}

function nothing(context: Context, table: 'absent' | 'ours', text: string): void {
  if (context.output.json) context.output.printJson({ table, rows: [] });
  else context.output.print(text);
}
