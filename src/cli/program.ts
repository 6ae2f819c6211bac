import { Command, CommanderError } from 'commander';
import { type Setting, settings } from '../vault/settings.ts';
import { addGlobals, epilogue, OwnOptionsFirst, variableLines } from './options.ts';
import { usageError } from './terminal/errors.ts';
import { clean } from './terminal/output.ts';
import { ownVersion } from './version.ts';

interface Entry {
  readonly name: string;
  readonly group: string;
  readonly summary: string;
  load(): Promise<{ define(command: Command): void }>;
}

const setUp = 'Set up:';
const connecting = 'Connect tenants:';
const using = 'Use grants:';
const operating = 'Operate:';
const serving = 'Server:';
const trying = 'Try it out:';

/** Every command, in the order of the help. The code of a command is loaded when it is called. */
const entries: readonly Entry[] = [
  {
    name: 'init',
    group: setUp,
    summary: 'make a vault, or take over an oauth_tokens table',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'migrate',
    group: setUp,
    summary: 'bring the database schema up to date',
    load: () => import('./commands/migrate.ts'),
  },
  {
    name: 'app',
    group: setUp,
    summary: 'client registrations at providers',
    load: () => import('./commands/app.ts'),
  },
  {
    name: 'provider',
    group: setUp,
    summary: 'built-in and custom providers',
    load: () => import('./commands/provider.ts'),
  },
  {
    name: 'connect',
    group: connecting,
    summary: 'connect a tenant to a provider in the browser',
    load: () => import('./commands/connect.ts'),
  },
  {
    name: 'import',
    group: connecting,
    summary: 'import tokens from env files or NDJSON',
    load: () => import('./commands/import.ts'),
  },
  {
    name: 'disconnect',
    group: connecting,
    summary: 'end a grant and revoke it at the provider',
    load: () => import('./commands/disconnect.ts'),
  },
  { name: 'token', group: using, summary: 'print an access token', load: () => import('./commands/token.ts') },
  { name: 'call', group: using, summary: 'make an authenticated API call', load: () => import('./commands/call.ts') },
  {
    name: 'exec',
    group: using,
    summary: 'run a program with tokens in its environment',
    load: () => import('./commands/exec.ts'),
  },
  {
    name: 'use',
    group: using,
    summary: 'set the current tenant, for which . then stands',
    load: () => import('./commands/use.ts'),
  },
  { name: 'list', group: operating, summary: 'list grants', load: () => import('./commands/list.ts') },
  { name: 'show', group: operating, summary: 'show one grant', load: () => import('./commands/show.ts') },
  {
    name: 'set',
    group: operating,
    summary: 'change the metadata of a grant',
    load: () => import('./commands/set.ts'),
  },
  {
    name: 'health',
    group: operating,
    summary: 'check grants with a real API call',
    load: () => import('./commands/health.ts'),
  },
  {
    name: 'recover',
    group: operating,
    summary: 'retry grants that need re-authorization',
    load: () => import('./commands/recover.ts'),
  },
  {
    name: 'adopt',
    group: operating,
    summary: 'end the quarantine of a restored or cloned database',
    load: () => import('./commands/adopt.ts'),
  },
  {
    name: 'doctor',
    group: operating,
    summary: 'check this installation and report what to do',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'serve',
    group: serving,
    summary: 'run the HTTP server and its workers',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'key',
    group: serving,
    summary: 'API keys for the server',
    load: () => import('./commands/key.ts'),
  },
  {
    name: 'simulate',
    group: trying,
    summary: 'run simulated providers on this machine',
    load: () => import('./commands/simulate.ts'),
  },
];

/** The names of all commands, in the order of the help. */
export const commandNames = entries.map(({ name }) => name);

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
  for (const entry of entries) {
    const command = program.command(entry.name).summary(entry.summary).helpGroup(entry.group);
    configure(command);
  }
  program.hook('preSubcommand', async (_, command) => {
    const entry = entries.find((candidate) => candidate.name === command.name());
    if (entry === undefined) return;
    (await entry.load()).define(command);
    for (const one of [command, ...command.commands]) {
      configure(one);
      addGlobals(one);
    }
  });
  return program;
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
