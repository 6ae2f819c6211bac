import type { Command } from 'commander';
import { type Context, contextOf, databaseExists, makeContextVault, refuseServer } from '../context.ts';
import { stderrLogger } from '../log.ts';
import { epilogue } from '../options.ts';
import { withProgress } from '../terminal/progress.ts';

export function define(command: Command): void {
  command
    .description(
      'Brings the database schema up to date, also with GRANTRY_MIGRATE=off. The database role must be allowed to change ' +
        'tables. Several processes may run it at once.',
    )
    .addHelpText('after', epilogue('Example:\n  grantry migrate --database postgres://owner@db/grantry'))
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
  return withProgress(context.world, 'Reading the schema version', async () => {
    const { openStore } = await import('../../storage/store.ts');
    const { schemaVersion } = await import('../../storage/migrations/version.ts');
    const { settings, world } = context;
    const { database, untriedEngine: allowUntriedEngine } = settings;
    const store = await openStore({ database, world, logger: stderrLogger(world, settings), allowUntriedEngine });
    try {
      return await schemaVersion(store);
    } finally {
      await store.close();
    }
  });
}
