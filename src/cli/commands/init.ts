import type { Command } from 'commander';
import { databaseName } from '../../vault/home.ts';
import type { VaultOptions } from '../../vault/options.ts';
import { type Context, contextOf, makeContextVault, refuseServer } from '../context.ts';
import { epilogue } from '../options.ts';
import { printPlan } from '../take-over-plan.ts';
import { counted } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';
import { printFields } from '../terminal/table.ts';

/** The next command for a newcomer, with placeholders for the client id and the file. */
const nextCommand =
  'grantry app add zoho --provider zoho_crm --dc eu --client-id ID --client-secret-file FILE --scope ZohoCRM.org.READ';

export function define(command: Command): void {
  command
    .description(
      'Makes a vault: the home with database and root key. An oauth_tokens table of another program is taken over: stop the ' +
        'programs that write to it first, since their writes fail afterwards. Running it again changes nothing.',
    )
    .option('--dry-run', 'only list the rows to take over, with the data centre and app of each')
    .addHelpText(
      'after',
      epilogue('Examples:\n  grantry init\n  grantry init --database postgres://grantry@db/crm --dry-run'),
    )
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
  const database = databaseName(settings.database);
  if (output.json) {
    output.printJson({
      home: settings.home,
      database,
      root_key: rootKeyPlace(settings.rootKey),
      spool: settings.spool,
      installation: settings.installation,
      taken_over: takenOver,
    });
    return;
  }
  printFields(output, [
    ['home', settings.home],
    ['database', database],
    ['root key', rootKeyPlace(settings.rootKey)],
    ...(takenOver === 0 ? [] : [['taken over', `${counted(takenOver, 'grant')}, sealed`] as const]),
  ]);
  output.note('Keep a copy of the root key away from the database: without the key, no stored token can be read.');
  if (takenOver > 0) {
    output.note(
      'Programs that write to the table fail at their next upsert on (client_id, provider): change them to use Grantry.',
    );
  }
  output.note(`Next: ${nextCommand}`);
}

/** The source of the root key without the arguments of a command, which may be secret. */
function rootKeyPlace(source: string): string {
  return source.startsWith('command:') ? `${source.split(' ')[0] ?? ''}${source.includes(' ') ? ' …' : ''}` : source;
}
