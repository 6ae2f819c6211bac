import type { Command } from 'commander';
import type { VaultOptions } from '../../vault/options.ts';
import { type Context, contextOf, makeContextVault, refuseServer } from '../context.ts';
import { printPlan } from '../take-over-plan.ts';
import { counted } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';
import { fields } from '../terminal/table.ts';

/** Whole, so that it can be copied; the client id and the file are the reader's own. */
const nextCommand =
  'grantry app add zoho --provider zoho_crm --dc eu --client-id ID --client-secret-file FILE --scope ZohoCRM.org.READ';

export function define(command: Command): void {
  command
    .description(
      'Makes the home: database, root key and identity. An oauth_tokens table that another program made is taken over; ' +
        'stop the programs that write to it first, for their writes fail from then on. Running it again changes nothing.',
    )
    .option('--dry-run', 'only list the rows that would be taken over, with the data centre and app found for each')
    .addHelpText('after', '\nExamples:\n  grantry init\n  grantry init --database postgres://grantry@db/crm --dry-run')
    .action(async (options: { dryRun?: boolean }) => {
      const context = contextOf(command);
      refuseServer(context, 'init');
      await (options.dryRun === true ? printPlan(context) : init(context));
    });
}

async function init(context: Context): Promise<void> {
  const { settings, output } = context;
  let takenOver = 0;
  let text = 'Making the vault';
  const options: VaultOptions = {
    takeOver: true,
    onTakeOver: ({ sealed, total }) => {
      text = `Taking over the table: rows sealed: ${sealed} of ${total}`;
    },
    onEvent: (event) => {
      if (event.type === 'grant.taken_over') takenOver += 1;
    },
  };
  const vault = await withProgress(
    context.world,
    () => text,
    () => makeContextVault(context, options, { quiet: true }),
  );
  await vault.close();
  const database = withoutPassword(settings.database);
  if (output.json) {
    output.printJson({
      home: settings.home,
      database,
      root_key: rootKeyPlace(settings.rootKey),
      spool: settings.spool,
      installation: settings.installation ?? null,
      taken_over: takenOver,
    });
    return;
  }
  const lines = fields([
    ['home', settings.home],
    ['database', database],
    ['root key', rootKeyPlace(settings.rootKey)],
    ...(takenOver === 0 ? [] : [['taken over', `${counted(takenOver, 'grant')}, sealed`] as const]),
  ]);
  for (const line of lines) output.print(line);
  output.note('Keep a copy of the root key apart from the database: without it no token can be read again.');
  if (takenOver > 0) {
    output.note(
      'Programs that wrote to the table fail at their next upsert on (client_id, provider): use Grantry there.',
    );
  }
  output.note(`Next: ${nextCommand}`);
}

/** Names a root key's source without a command's arguments, which may be secret. */
function rootKeyPlace(source: string): string {
  return source.startsWith('command:') ? `${source.split(' ')[0] ?? ''}${source.includes(' ') ? ' …' : ''}` : source;
}

/** A database's name as it may be shown. */
export function withoutPassword(database: string): string {
  if (database.startsWith('sqlite:')) return database;
  if (!URL.canParse(database)) return 'postgres';
  const url = new URL(database);
  return `postgres://${url.host}${url.pathname}`;
}
