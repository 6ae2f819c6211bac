import { Command, CommanderError } from 'commander';
import { type Setting, settings } from '../vault/settings.ts';
import { addGlobals, epilogue, variableLines } from './options.ts';
import { usageError } from './terminal/errors.ts';
import { OwnOptionsFirst } from './terminal/help.ts';
import { clean } from './terminal/output.ts';
import { ownVersion } from './version.ts';

interface Entry {
  readonly summary: string;
  load(): Promise<{ define(command: Command): void }>;
}

/** Every command by its group, in the order of the help. The code of a command is loaded when it is called. */
const groups: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  'Set up:': {
    init: { summary: 'make a vault, or take over an oauth_tokens table', load: () => import('./commands/init.ts') },
    migrate: { summary: 'bring the database schema up to date', load: () => import('./commands/migrate.ts') },
    app: { summary: 'client registrations at providers', load: () => import('./commands/app.ts') },
    provider: { summary: 'built-in and custom providers', load: () => import('./commands/provider.ts') },
  },
  'Connect tenants:': {
    onboard: {
      summary: 'bring a client from nothing to a healthy grant, step by step',
      load: () => import('./commands/onboard.ts'),
    },
    connect: { summary: 'connect a tenant to a provider in the browser', load: () => import('./commands/connect.ts') },
    import: { summary: 'import tokens from env files or NDJSON', load: () => import('./commands/import.ts') },
    disconnect: {
      summary: 'end a grant and revoke it at the provider',
      load: () => import('./commands/disconnect.ts'),
    },
  },
  'Use grants:': {
    token: { summary: 'print an access token', load: () => import('./commands/token.ts') },
    call: { summary: 'make an authenticated API call', load: () => import('./commands/call.ts') },
    exec: { summary: 'run a program with tokens in its environment', load: () => import('./commands/exec.ts') },
    use: { summary: 'set the current tenant, for which . then stands', load: () => import('./commands/use.ts') },
  },
  'Operate:': {
    list: { summary: 'list grants', load: () => import('./commands/list.ts') },
    show: { summary: 'show one grant', load: () => import('./commands/show.ts') },
    set: { summary: 'change the metadata of a grant', load: () => import('./commands/set.ts') },
    organizations: {
      summary: "list the organisations of a grant's user",
      load: () => import('./commands/organizations.ts'),
    },
    health: { summary: 'check grants with a real API call', load: () => import('./commands/health.ts') },
    recover: { summary: 'retry grants that need re-authorization', load: () => import('./commands/recover.ts') },
    adopt: {
      summary: 'end the quarantine of a restored or cloned database',
      load: () => import('./commands/adopt.ts'),
    },
    audit: { summary: 'the log of changes and hand-outs', load: () => import('./commands/audit.ts') },
    doctor: { summary: 'check this installation and report what to do', load: () => import('./commands/doctor.ts') },
    scan: { summary: 'find leaked tokens and keys in files and in git', load: () => import('./commands/scan.ts') },
  },
  'Server:': {
    serve: { summary: 'run the HTTP server and its workers', load: () => import('./commands/serve.ts') },
    key: { summary: 'API keys for the server', load: () => import('./commands/key.ts') },
  },
  'Try it out:': {
    simulate: { summary: 'run simulated providers on this machine', load: () => import('./commands/simulate.ts') },
    completion: { summary: 'print a script for completion in a shell', load: () => import('./commands/completion.ts') },
  },
};

/** The names of all commands, in the order of the help. */
export const commandNames = Object.values(groups).flatMap((entries) => Object.keys(entries));

/** Parses the command line and runs the command. @throws {GrantryError} `invalid_request` when it cannot be understood */
export async function runProgram(words: readonly string[]): Promise<void> {
  refuseSecrets(words);
  const program = makeProgram(words.some((word) => word === '-V' || word === '--version') ? ownVersion() : '');
  const given = words[0] === 'help' ? [...words.slice(1), '--help'] : words;
  try {
    await program.parseAsync([...given], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return;
    if (error.code === 'commander.help') {
      process.exitCode = 2;
      return;
    }
    throw usageError(usageMessage(error.message), `Run ${commandLine(program, words)} --help.`);
  }
}

function makeProgram(versionText: string): Command {
  const program = new Command('grantry')
    .description('Stores OAuth grants encrypted, refreshes them in time and does not lose them.')
    .usage('COMMAND [arguments]')
    .version(versionText, '-V, --version', 'print the version')
    .addHelpText('after', epilogue(rootEpilogue()));
  addGlobals(program);
  configure(program);
  for (const [group, entries] of Object.entries(groups)) {
    for (const [name, { summary }] of Object.entries(entries)) {
      configure(program.command(name).summary(summary).helpGroup(group));
    }
  }
  program.hook('preSubcommand', async (_, command) => {
    // The script for completion names the options of all commands.
    for (const wanted of command.name() === 'completion' ? program.commands : [command]) await define(wanted);
  });
  return program;
}

async function define(command: Command): Promise<void> {
  const entry = groups[command.helpGroup()]?.[command.name()];
  if (entry === undefined) return;
  (await entry.load()).define(command);
  for (const one of [command, ...command.commands]) {
    configure(one);
    addGlobals(one);
  }
}

const begin = `A first session, without an account anywhere:
  grantry simulate      in one terminal; it prints the commands for another

Help on a command: grantry COMMAND --help`;

/** The variables that have no flag, but for those of the server. */
function rootEpilogue(): string {
  const rows: readonly Setting[] = Object.values(settings);
  return `Environment variables without a flag:\n${variableLines(rows.filter(({ server }) => server !== true))}\n\n${begin}`;
}

/** Errors are thrown and reported once, in main.ts. */
function configure(command: Command): void {
  command.createHelp = () => Object.assign(new OwnOptionsFirst(), command.configureHelp());
  command
    .exitOverride()
    .enablePositionalOptions()
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .configureOutput({ writeErr: (text) => process.stderr.write(text), outputError: () => {} });
}

/** Every user of the machine can see arguments, and shells store them. */
function refuseSecrets(words: readonly string[]): void {
  const end = words.indexOf('--');
  const flag = (end === -1 ? words : words.slice(0, end)).find((word) =>
    /^--?(client-?secret|secret|refresh-?token|access-?token|password|api-?key|token)s?(=|$)/i.test(word),
  );
  if (flag === undefined) return;
  throw usageError(
    `${flag.replace(/=.*/s, '')} is not an option: other programs can read arguments, so secrets are not allowed there.`,
    'Pass a client secret in a file (--client-secret-file FILE) or on standard input (--client-secret-file -); import tokens with grantry import.',
  );
}

/** The message of commander without its prefix, and without values that may be long, hostile or secret. */
function usageMessage(message: string): string {
  const plain = clean(message.replace(/^error: /, '').replace(/\s*\n\s*/g, '. ')).replace(
    /('--?[\w-]+=)[^']*'/g,
    "$1…'",
  );
  const short = plain.length > 200 ? `${plain.slice(0, 200)}…` : plain;
  const sentence = short.charAt(0).toUpperCase() + short.slice(1);
  return /[.?!…)]$/.test(sentence) ? sentence : `${sentence}.`;
}

function commandLine(program: Command, words: readonly string[]): string {
  const command = program.commands.find((candidate) => candidate.name() === words[0]);
  const below = command?.commands.find((candidate) => candidate.name() === words[1]);
  return ['grantry', command?.name(), below?.name()].filter((name) => name !== undefined).join(' ');
}
