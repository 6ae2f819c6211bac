import type { Command } from 'commander';
import { type Context, contextOf, databaseExists, makeContextVault, refuseServer } from '../context.ts';
import { stderrLogger } from '../log.ts';
import { withProgress } from '../terminal/progress.ts';

export function define(command: Command): void {
  command
    .description(
      "Brings the database's schema up to date, whatever GRANTRY_MIGRATE says: run it with a role that may change tables. " +
        'Any number of processes may run it at once.',
    )
    .addHelpText('after', '\nExample:\n  grantry migrate --database postgres://owner@db/grantry')
    .action(async () => migrate(contextOf(command)));
}

async function migrate(context: Context): Promise<void> {
  refuseServer(context, 'migrate');
  const from = databaseExists(context) ? await versionNow(context) : 0;
  const vault = await makeContextVault(context, { migrate: 'auto' });
  await vault.close();
  const to = await versionNow(context);
  if (context.output.json) context.output.printJson({ from, to });
  else if (from === to) context.output.print(`The schema is up to date: version ${to}.`);
  else context.output.print(`The schema went from version ${from} to version ${to}.`);
}

async function versionNow(context: Context): Promise<number> {
  return withProgress(context.world, 'Asking the database', async () => {
    const { openStore } = await import('../../storage/store.ts');
    const { schemaVersion } = await import('../../storage/migrations/migrate.ts');
    const { settings, world } = context;
    const store = await openStore({
      database: settings.database,
      world,
      logger: stderrLogger(world, settings),
    });
    try {
      return await schemaVersion(store);
    } finally {
      await store.close();
    }
  });
}
