import type { Command } from 'commander';
import { checkName } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import { apiKeyRoles } from '../../schemas/words.ts';
import type { ApiKey, Vault } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault, openServer } from '../context.ts';
import { expiryOf, type LimitOptions, limitsIn, withLimits } from '../key-options.ts';
import { epilogue } from '../options.ts';
import { usageError } from '../terminal/errors.ts';
import { minute } from '../terminal/present.ts';
import { alteredRow, printTable } from '../terminal/table.ts';

interface CreateOptions extends LimitOptions {
  role: string;
}

interface UpdateOptions extends LimitOptions {
  name?: string;
  role?: string;
  /** False with `--no-tenants`. */
  tenants?: boolean;
  allProviders?: boolean;
  allMethods?: boolean;
  allPaths?: boolean;
  /** False with `--no-origins`. */
  origins?: boolean;
}

const pathsHelp =
  'A path is written without its query: * is one segment or a part of it, ** any number of segments. Put it in quotes.';

export function define(command: Command): void {
  command.description('API keys of the server.');
  defineCreate(command.command('create'));
  defineUpdate(command.command('update'));
  defineChild(command.command('child'));
  command
    .command('list')
    .summary('list keys')
    .description('Lists the names, roles, limits and uses of keys that are not revoked.')
    .addHelpText('after', epilogue('Example:\n  grantry key list'))
    .action(async (_options: unknown, leaf: Command) => list(contextOf(leaf)));
  command
    .command('revoke')
    .summary('revoke a key')
    .description('Revokes a key and its children. Servers refuse them within five seconds.')
    .argument('<id-or-name>', 'id or name of the key')
    .addHelpText('after', epilogue('Example:\n  grantry key revoke billing'))
    .action(async (idOrName: string, _options: unknown, leaf: Command) => revoke(contextOf(leaf), idOrName));
}

function defineCreate(command: Command): void {
  command
    .summary('make a key and show it once')
    .description(
      'Makes an API key and prints it; it cannot be shown again. Roles: admin (everything), operator (everything except ' +
        'tokens, the proxy and keys), reader (tokens, grants, the proxy), caller (grants and the proxy, no tokens), ' +
        'connector (grants and connect links, no tokens). The last three act only for the tenants that you name.',
    )
    .argument('<name>', 'your name for the key, such as billing-service')
    .requiredOption('--role <role>', `one of ${apiKeyRoles.join(', ')}`);
  withLimits(command)
    .addHelpText(
      'after',
      epilogue(`${pathsHelp}

Examples:
  grantry key create ops --role admin --expires 90d
  grantry key create billing --role reader --tenant acme --provider zoho_books
  grantry key create shop --role connector --all-tenants
  grantry key create agent --role caller --tenant acme --method GET \\
    --path '/crm/v8/Leads/**'
  grantry key create widget --role caller --tenant acme --method GET \\
    --path '/crm/v8/Leads/**' --origin https://widget.example`),
    )
    .action(async (name: string, options: CreateOptions, leaf: Command) => create(contextOf(leaf), name, options));
}

function defineUpdate(command: Command): void {
  command
    .summary('change a key')
    .description(
      'Changes a key; what is not named stays. Lists replace the former ones. Servers follow within five seconds, and child ' +
        'keys that are now wider than the key end.',
    )
    .argument('<id-or-name>', 'id or name of the key')
    .option('--name <name>', 'another name')
    .option('--role <role>', `one of ${apiKeyRoles.join(', ')}`);
  withLimits(command)
    .option('--no-tenants', 'act for no tenant')
    .option('--all-providers', 'act at every provider')
    .option('--all-methods', 'use every method')
    .option('--all-paths', 'call every path')
    .option('--no-origins', 'be for no page in a browser')
    .addHelpText(
      'after',
      epilogue(
        'Examples:\n  grantry key update billing --tenant acme --tenant globex\n  grantry key update ops --expires never',
      ),
    )
    .action(async (idOrName: string, options: UpdateOptions, leaf: Command) =>
      update(contextOf(leaf), idOrName, options),
    );
}

function defineChild(command: Command): void {
  command
    .summary('make a narrower key for an hour')
    .description(
      'Makes a child of the key in GRANTRY_API_KEY and prints it: narrower, and for an hour at most. What is not named is as at ' +
        'that key. The child ends with it, and makes no keys.',
    )
    .argument('[name]', "the child's name, behind the name of its parent")
    .option('--role <role>', 'a role that may do no more');
  withLimits(command, '10m; an hour at most, and an hour if left out')
    .addHelpText(
      'after',
      epilogue(`${pathsHelp}

Example:
  grantry key child agent-7 --role caller --tenant acme --method GET \\
    --expires 10m`),
    )
    .action(async (name: string | undefined, options: Partial<CreateOptions>, leaf: Command) =>
      child(contextOf(leaf), name, options),
    );
}

function roleOf(text: string): ApiKey['role'] {
  const role = apiKeyRoles.find((known) => known === text);
  if (role === undefined) throw usageError(`--role must be one of ${apiKeyRoles.join(', ')}.`);
  return role;
}

async function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  const role = roleOf(options.role);
  checkName('key', name);
  const limits = { ...limitsIn(options), expiresAt: expiryOf(options.expires, context.world.now()) };
  await using vault = await openContextVault(context);
  const made = await vault.keys.create(name, { role, ...limits });
  printNew(context, made);
  const { apiKey } = made;
  await noteStrangers(context, vault, apiKey.tenants);
  if (isIdle(apiKey)) {
    context.output.note(
      `The key names no tenant and can do nothing yet: grantry key update ${name} --tenant TENANT, or --all-tenants.`,
    );
  }
  if (role === 'reader' && (apiKey.methods !== null || apiKey.paths !== null)) {
    context.output.note('A reader gets tokens, with which it can make any call. Methods and paths hold a caller.');
  }
}

function isIdle({ role, tenants }: ApiKey): boolean {
  return role !== 'admin' && role !== 'operator' && tenants.length === 0;
}

async function update(context: Context, idOrName: string, options: UpdateOptions): Promise<void> {
  const { name, role, allProviders, allMethods, allPaths } = options;
  const named = {
    ...(name === undefined ? {} : { name }),
    ...(role === undefined ? {} : { role: roleOf(role) }),
    ...limitsIn(options),
    ...(options.tenants === false ? { tenants: null } : {}),
    ...(allProviders === true ? { providers: null } : {}),
    ...(allMethods === true ? { methods: null } : {}),
    ...(allPaths === true ? { paths: null } : {}),
    ...(options.origins === false ? { origins: null } : {}),
    ...endIn(options, context.world.now()),
  };
  if (Object.values(named).every((value) => value === undefined)) {
    throw usageError('Name what changes, such as --tenant or --expires.');
  }
  await using vault = await openContextVault(context);
  const apiKey = await vault.keys.update(idOrName, named);
  if (context.output.json) return context.output.printJson(toJson(apiKey));
  context.output.note(`Changed ${apiKey.name} (${apiKey.role}). Servers follow within five seconds.`);
}

function endIn({ expires }: LimitOptions, nowMs: number): { expiresAt?: Date | null } {
  if (expires === undefined) return {};
  return { expiresAt: expires === 'never' ? null : (expiryOf(expires, nowMs) ?? null) };
}

async function child(context: Context, name: string | undefined, options: Partial<CreateOptions>): Promise<void> {
  const { server } = context.settings;
  if (server === undefined) {
    throw usageError('A child is made by a key at a server: set GRANTRY_URL and GRANTRY_API_KEY.');
  }
  await using client = await openServer(context, server, { light: true });
  const role = options.role === undefined ? undefined : roleOf(options.role);
  const expiresAt = expiryOf(options.expires, context.world.now());
  printNew(context, await client.createChildKey({ name, role, ...limitsIn(options), expiresAt }));
}

function printNew({ output }: Context, { apiKey, key }: { apiKey: ApiKey; key: { reveal(): string } }): void {
  const { id, name, role, expiresAt } = apiKey;
  if (output.json) return output.printJson({ id, name, role, key: key.reveal() });
  process.stdout.write(`${key.reveal()}\n`);
  const end = apiKey.parent === null ? '' : `, until ${minute(expiresAt)}`;
  output.note(`Key ${name} (${role}), id ${id}${end}. It cannot be shown again: store it with your secrets.`);
}

/** A tenant without a grant may be misspelt, or may connect later. */
async function noteStrangers(context: Context, vault: Vault, tenants: ApiKey['tenants']): Promise<void> {
  if (tenants === '*') return;
  for (const tenant of tenants) {
    const { items } = await vault.grants.list({ tenant, limit: 1 });
    if (items.length === 0)
      context.output.note(`Note: ${tenant} has no grant yet. Check the name if you expected one.`);
  }
}

async function list(context: Context): Promise<void> {
  await using vault = await openContextVault(context);
  const keys = await vault.keys.list();
  if (context.output.json) return context.output.printJson(keys.map((each) => toJson(each)));
  if (keys.length === 0) {
    return context.output.note('There are no keys yet. Make one: grantry key create NAME --role admin');
  }
  printTable(context.output, keys, keyColumns(keys));
}

/** The columns of the list of keys. A limit has one for all, or for none: most keys have no limit. */
export function keyColumns(keys: readonly ApiKey[]): Record<string, (key: ApiKey) => string> {
  return {
    NAME: ({ name }) => name,
    ROLE: ({ role, integrityFailed }) => (integrityFailed ? alteredRow : role),
    TENANTS: actsFor,
    ...limitColumns(keys),
    EXPIRES: ({ expiresAt }) => minute(expiresAt),
    'LAST USED': ({ lastUsedAt }) => minute(lastUsedAt),
    ID: ({ id }) => id,
  };
}

function limitColumns(keys: readonly ApiKey[]): Record<string, (key: ApiKey) => string> {
  const columns: Record<string, (key: ApiKey) => string> = {};
  for (const limit of ['providers', 'methods', 'paths'] as const) {
    const isAltered = ({ integrityFailed }: ApiKey) => integrityFailed === true;
    if (!keys.some((key) => key[limit] !== null && !isAltered(key))) continue;
    columns[limit.toUpperCase()] = (key) => (isAltered(key) ? '-' : listText(key[limit], 'all'));
  }
  if (keys.some(({ origins }) => origins !== null)) columns['ORIGINS'] = ({ origins }) => listText(origins, '-');
  return columns;
}

function listText(names: readonly string[] | null, ofNone: string): string {
  if (names === null) return ofNone;
  return names.length === 0 ? 'none' : names.join(', ');
}

async function revoke(context: Context, idOrName: string): Promise<void> {
  await using vault = await openContextVault(context);
  await vault.keys.revoke(idOrName);
  if (context.output.json) context.output.printJson({ revoked: idOrName });
  else context.output.note(`Revoked ${idOrName}. Servers refuse it within five seconds.`);
}

function actsFor(key: ApiKey): string {
  if (key.role === 'admin' || key.role === 'operator' || key.tenants === '*') return 'all';
  return listText(key.tenants, 'all');
}
