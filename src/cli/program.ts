import { Command, CommanderError, Option } from 'commander';
import { globalHeading } from './options.ts';
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
const connecting = 'Connect customers:';
const using = 'Use the grants:';
const lookingAfter = 'Look after them:';
const serving = 'Serve programs on other machines:';
const trying = 'Try it out:';

/** Every command, in the order of the help; the code of one is loaded when it is called. */
const entries: readonly Entry[] = [
  {
    name: 'init',
    group: setUp,
    summary: 'make the home: database, root key, identity',
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
    summary: 'your client registrations at providers',
    load: () => import('./commands/app.ts'),
  },
  {
    name: 'provider',
    group: setUp,
    summary: 'the catalogue, and providers of your own',
    load: () => import('./commands/provider.ts'),
  },
  {
    name: 'connect',
    group: connecting,
    summary: 'connect a tenant in the browser',
    load: () => import('./commands/connect.ts'),
  },
  {
    name: 'import',
    group: connecting,
    summary: 'take over per-client env files',
    load: () => import('./commands/import.ts'),
  },
  {
    name: 'disconnect',
    group: connecting,
    summary: 'end a grant, here and at the provider',
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
    summary: 'choose the current tenant, written . from then on',
    load: () => import('./commands/use.ts'),
  },
  { name: 'list', group: lookingAfter, summary: 'list grants', load: () => import('./commands/list.ts') },
  { name: 'show', group: lookingAfter, summary: 'show one grant', load: () => import('./commands/show.ts') },
  {
    name: 'set',
    group: lookingAfter,
    summary: 'change the metadata of a grant',
    load: () => import('./commands/set.ts'),
  },
  {
    name: 'health',
    group: lookingAfter,
    summary: 'prove grants with a real API call',
    load: () => import('./commands/health.ts'),
  },
  {
    name: 'recover',
    group: lookingAfter,
    summary: 'try condemned grants again',
    load: () => import('./commands/recover.ts'),
  },
  {
    name: 'adopt',
    group: lookingAfter,
    summary: 'end the quarantine of a restored or cloned database',
    load: () => import('./commands/adopt.ts'),
  },
  {
    name: 'doctor',
    group: lookingAfter,
    summary: 'check this installation and say what to do',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'serve',
    group: serving,
    summary: 'run the HTTP server with its workers',
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
    summary: 'run make-believe providers on this machine',
    load: () => import('./commands/simulate.ts'),
  },
];

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
    throw usageError(spoken(error.message), `Run ${commandLine(program, words)} --help.`);
  }
}

function makeProgram(versionText: string): Command {
  const program = new Command('grantry')
    .description('Keeps the OAuth grants of your customers alive: sealed, refreshed in time, never lost.')
    .usage('COMMAND [arguments]')
    .version(versionText, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
A first session, without any account anywhere:
  grantry simulate                 in one terminal; it prints the commands to try in another

More on a command: grantry COMMAND --help`,
    );
  addGlobals(program, true);
  settle(program);
  for (const entry of entries) {
    const command = program.command(entry.name).summary(entry.summary).helpGroup(entry.group);
    settle(command);
  }
  program.hook('preSubcommand', async (_, command) => {
    const entry = entries.find((candidate) => candidate.name === command.name());
    if (entry === undefined) return;
    (await entry.load()).define(command);
    for (const one of [command, ...command.commands]) {
      settle(one);
      addGlobals(one, one.commands.length > 0);
    }
  });
  return program;
}

/** Errors are thrown and reported once, at the top, in the contract's form. */
function settle(command: Command): void {
  command
    .exitOverride()
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .configureOutput({ writeErr: (text) => process.stderr.write(text), outputError: () => {} });
}

function addGlobals(command: Command, hidden: boolean): void {
  const taken = new Set(command.options.map((option) => option.long));
  const globals = [
    new Option('--json', 'results and errors as JSON'),
    new Option('-v, --verbose', 'say more on stderr'),
    new Option('--home <dir>', 'GRANTRY_HOME (default: ~/.grantry)'),
    new Option('--database <url>', 'GRANTRY_DATABASE: sqlite:PATH or postgres://…'),
    new Option('--root-key <source>', 'GRANTRY_ROOT_KEY: file:PATH, env:NAME, fd:N, command:…'),
    new Option('--installation <name>', 'GRANTRY_INSTALLATION'),
    new Option('--spool <dir>', 'GRANTRY_SPOOL'),
    new Option('--tenant <name>', 'GRANTRY_TENANT: the tenant that . stands for'),
    new Option('--url <url>', 'GRANTRY_URL: a server to speak to, with the key in GRANTRY_API_KEY'),
    new Option('--public-url <url>', 'GRANTRY_PUBLIC_URL').hideHelp(),
    new Option('--log-level <level>', 'GRANTRY_LOG_LEVEL: debug, info, warn, error'),
  ];
  for (const option of globals) {
    if (hidden) option.hideHelp();
    if (!taken.has(option.long)) command.addOption(option.helpGroup(globalHeading));
  }
}

/** Arguments are seen by every user of the machine, and kept by shells. */
function refuseSecrets(words: readonly string[]): void {
  const end = words.indexOf('--');
  const flag = (end === -1 ? words : words.slice(0, end)).find((word) =>
    /^--?(client-?secret|secret|refresh-?token|access-?token|password|api-?key|token)s?(=|$)/i.test(word),
  );
  if (flag === undefined) return;
  throw usageError(
    `${flag.replace(/=.*/s, '')} is no option: a secret is never given as an argument, where other programs can read it.`,
    'Give it in a file (--client-secret-file FILE), on standard input (--client-secret-file -), or at the prompt; tokens come in by grantry import.',
  );
}

/** commander's words, without its prefix and without repeating a value that may be long, hostile or secret. */
function spoken(message: string): string {
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
