import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { RunningSimulator, SimulatorOptions, startSimulator } from '../../simulator/index.ts';
import { wholeNumber } from '../../vault/settings.ts';
import { type Context, contextOf } from '../context.ts';
import { collect, epilogue } from '../options.ts';
import { untilSignal } from '../signals.ts';
import { usageError } from '../terminal/errors.ts';
import { fields } from '../terminal/table.ts';

interface SimulateOptions {
  port?: string;
  profile?: string[];
  dc?: string[];
  autoApprove?: boolean;
  definitions?: string;
  environment?: string[];
  users?: string;
}

/** Kinds of Zoho organisation that can have ports of their own. */
const ownPorts = ['sandbox', 'developer'] as const;

export function define(command: Command): void {
  command
    .description(
      'Runs simulated providers on this machine until Ctrl-C: Zoho with one port per data centre, and one server for each ' +
        'way in which refresh tokens rotate. It writes their definitions and prints the commands to try.',
    )
    .option('--port <port>', 'the first of consecutive ports (default: any free ports)')
    .option(
      '--profile <profile>',
      'zoho, strict, retire_on_use, …; may be given several times (default: zoho)',
      collect,
    )
    .option('--dc <dc>', 'only this data centre of Zoho; may be given several times', collect)
    .option(
      '--environment <kind>',
      'a port of its own for this kind of Zoho organisation: sandbox or developer; may be given several times',
      collect,
    )
    .option('--users <file>', 'a JSON file with the users, as docs/simulator.md shows (default: one per data centre)')
    .option('--auto-approve', 'grant consent without a page')
    .option('--definitions <dir>', 'the directory for the definitions (default: HOME/simulator)')
    .addHelpText('after', epilogue('Examples:\n  grantry simulate\n  grantry simulate --port 4100 --profile strict'))
    .action(async (options: SimulateOptions) => simulate(contextOf(command), options));
}

async function simulate(context: Context, options: SimulateOptions): Promise<void> {
  const port = options.port === undefined ? 0 : wholeNumber('--port', options.port, { min: 0, max: 65_000 });
  const profiles = [...new Set(options.profile ?? ['zoho'])];
  const { simulatorProfiles } = await import('../../simulator/index.ts');
  const { zohoDataCenters } = await import('../../simulator/state/data-centers.ts');
  checkNames('--profile', profiles, simulatorProfiles);
  checkNames('--dc', options.dc ?? [], Object.keys(zohoDataCenters));
  checkNames('--environment', options.environment ?? [], ownPorts);
  const environments = ownPorts.filter((kind) => options.environment?.includes(kind));
  const users = options.users === undefined ? undefined : await readUsers(options.users);
  const stopped = untilSignal();
  const autoApprove = options.autoApprove ?? false;
  const simulator = await start({ profiles, dataCenters: options.dc, autoApprove, port, environments, users });
  try {
    const directory = resolve(options.definitions ?? join(context.settings.home, 'simulator'));
    const written = await writeDefinitions(simulator, profiles, directory);
    await announce(context, simulator, { directory, ...written });
    await stopped;
  } finally {
    await simulator.close();
  }
}

/** Reads the users of `--users`. */
async function readUsers(file: string): Promise<SimulatorOptions['users']> {
  const { z } = await import('zod');
  const { usersSchema } = await import('../../simulator/state/registry.ts');
  try {
    return usersSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : 'It cannot be read as JSON.';
    throw usageError(`${file} is no list of users. ${why}`, 'See docs/simulator.md for its form.');
  }
}

async function start(options: Parameters<typeof startSimulator>[0]): Promise<RunningSimulator> {
  const { startSimulator } = await import('../../simulator/index.ts');
  try {
    return await startSimulator(options);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) {
      throw usageError(
        'One of the ports is in use or not allowed.',
        'Choose another --port, or leave --port out for free ports.',
      );
    }
    throw error;
  }
}

interface Written {
  readonly definitions: readonly { readonly id: string; readonly file: string }[];
  readonly secretFile: string;
}

/** Writes the definitions for `provider add`, and the secret of the demo client for `app add`. */
async function writeDefinitions(
  simulator: RunningSimulator,
  profiles: readonly string[],
  directory: string,
): Promise<Written> {
  const { demoClient } = await import('../../simulator/index.ts');
  const { builtInProvider, builtInProviderIds } = await import('../../providers/catalogue.ts');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const zohoIds = profiles.includes('zoho') ? builtInProviderIds.filter((id) => /^zoho(_|$)/.test(id)) : [];
  const definitions: { id: string; file: string }[] = [];
  const write = async (id: string, definition: unknown): Promise<void> => {
    const file = join(directory, `${id}.json`);
    await writeFile(file, `${JSON.stringify(definition, null, 2)}\n`);
    definitions.push({ id, file });
  };
  for (const id of zohoIds) {
    const original = builtInProvider(id);
    if (original !== null) await write(id, simulator.rewrite(original));
  }
  for (const id of profiles.filter((profile) => profile !== 'zoho')) await write(id, simulator.definition(id));
  const secretFile = join(directory, 'client-secret.txt');
  await writeFile(secretFile, `${demoClient.secret ?? ''}\n`, { mode: 0o600 });
  return { definitions, secretFile };
}

async function announce(
  context: Context,
  simulator: RunningSimulator,
  { directory, definitions, secretFile }: Written & { directory: string },
): Promise<void> {
  const { demoClient } = await import('../../simulator/index.ts');
  const origins = simulator.origins();
  const { output } = context;
  if (output.json) {
    const client = { client_id: demoClient.clientId, client_secret_file: secretFile };
    // One line, also on a terminal: a program waits for it while the simulator runs.
    process.stdout.write(
      `${JSON.stringify({ origins, definitions: Object.fromEntries(definitions.map(({ id, file }) => [id, file])), client })}\n`,
    );
    return;
  }
  output.print('Simulated providers, each with a page that lists its requests:');
  for (const line of fields(Object.entries(origins))) output.print(`  ${line}`);
  const provider = definitions.find(({ id }) => id === 'zoho_crm') ?? definitions[0];
  const [first = ''] = Object.keys(origins);
  if (provider === undefined) return;
  const dc = first.startsWith('zoho/') ? ` --dc ${first.slice('zoho/'.length)}` : '';
  const path = provider.id === 'zoho_crm' ? '/crm/v8/org' : '/api/organization';
  const scope = provider.id === 'zoho_crm' ? ' --scope ZohoCRM.org.READ --scope ZohoCRM.modules.ALL' : ' --scope read';
  output.print(`
Try it in another terminal, in a home of its own:
  export GRANTRY_HOME=${shellWord(join(directory, 'home'))}
  export GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1
  grantry init
  grantry provider add ${shellWord(provider.file)}
  grantry app add demo --provider ${provider.id} --client-id ${demoClient.clientId} \\
    --client-secret-file ${shellWord(secretFile)}${dc}${scope}
  grantry connect acme ${provider.id}
  grantry token acme ${provider.id}
  grantry call acme ${provider.id} GET ${path}
  grantry list
`);
  output.note('Ctrl-C stops the simulator and deletes all that it holds.');
}

function checkNames(flag: string, given: readonly string[], known: readonly string[]): void {
  if (given.every((name) => known.includes(name))) return;
  throw usageError(`${flag} must be one of ${known.join(', ')}.`);
}

function shellWord(text: string): string {
  return /^[\w./@%+:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
