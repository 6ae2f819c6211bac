import type { Command } from 'commander';
import { checkName } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import { apiKeyRoles } from '../../schemas/words.ts';
import type { ApiKey } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { collect, epilogue } from '../options.ts';
import { usageError } from '../terminal/errors.ts';
import { minute } from '../terminal/present.ts';
import { alteredRow, printTable } from '../terminal/table.ts';

interface CreateOptions {
  role: string;
  tenant?: string[];
  provider?: string[];
  expires?: string;
}

export function define(command: Command): void {
  command.description('API keys of the server.');
  command
    .command('create')
    .summary('make a key and show it once')
    .description(
      'Makes an API key and prints it; it cannot be shown again. Roles: admin (everything), operator (everything except ' +
        'tokens, the proxy and keys), reader (tokens, grants, the proxy), caller (grants and the proxy, no tokens). ' +
        'Readers and callers act only for the tenants that you name.',
    )
    .argument('<name>', 'your name for the key, such as billing-service')
    .requiredOption('--role <role>', `one of ${apiKeyRoles.join(', ')}`)
    .option('--tenant <tenant>', 'a tenant that the key may act for; may be given several times', collect)
    .option(
      '--provider <provider>',
      'a provider that the key may use (default: all); may be given several times',
      collect,
    )
    .option('--expires <time>', 'the end of the key: 90d, 12h, or a date such as 2027-01-31')
    .addHelpText(
      'after',
      epilogue(`Examples:
  grantry key create ops --role admin --expires 90d
  grantry key create billing --role reader --tenant acme --provider zoho_books`),
    )
    .action(async (name: string, options: CreateOptions, leaf: Command) => create(contextOf(leaf), name, options));
  command
    .command('list')
    .summary('list keys')
    .description('Lists the names, roles and uses of keys that are not revoked.')
    .addHelpText('after', epilogue('Example:\n  grantry key list'))
    .action(async (_options: unknown, leaf: Command) => list(contextOf(leaf)));
  command
    .command('revoke')
    .summary('revoke a key')
    .description('Revokes a key. Servers refuse it within five seconds.')
    .argument('<id-or-name>', 'id or name of the key')
    .addHelpText('after', epilogue('Example:\n  grantry key revoke billing'))
    .action(async (idOrName: string, _options: unknown, leaf: Command) => revoke(contextOf(leaf), idOrName));
}

async function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  const role = apiKeyRoles.find((known) => known === options.role);
  if (role === undefined) throw usageError(`--role must be one of ${apiKeyRoles.join(', ')}.`);
  checkName('key', name);
  const expiresAt = options.expires === undefined ? undefined : expiryOf(options.expires, context.world.now());
  await using vault = await openContextVault(context);
  const { tenant: tenants, provider: providers } = options;
  const { apiKey, key } = await vault.keys.create(name, { role, tenants, providers, expiresAt });
  if (context.output.json)
    return context.output.printJson({ id: apiKey.id, name: apiKey.name, role: apiKey.role, key: key.reveal() });
  process.stdout.write(`${key.reveal()}\n`);
  context.output.note(`Key ${name} (${role}), id ${apiKey.id}. It cannot be shown again: store it with your secrets.`);
  if ((role === 'reader' || role === 'caller') && apiKey.tenants.length === 0) {
    context.output.note('The key names no tenant and can do nothing: revoke it and make one with --tenant.');
  }
}

async function list(context: Context): Promise<void> {
  await using vault = await openContextVault(context);
  const keys = await vault.keys.list();
  if (context.output.json) return context.output.printJson(keys.map((each) => toJson(each)));
  if (keys.length === 0) {
    return context.output.note('There are no keys yet. Make one: grantry key create NAME --role admin');
  }
  printTable(context.output, keys, {
    NAME: ({ name }) => name,
    ROLE: ({ role, integrityFailed }) => (integrityFailed ? alteredRow : role),
    TENANTS: actsFor,
    EXPIRES: ({ expiresAt }) => minute(expiresAt),
    'LAST USED': ({ lastUsedAt }) => minute(lastUsedAt),
    ID: ({ id }) => id,
  });
}

async function revoke(context: Context, idOrName: string): Promise<void> {
  await using vault = await openContextVault(context);
  await vault.keys.revoke(idOrName);
  if (context.output.json) context.output.printJson({ revoked: idOrName });
  else context.output.note(`Revoked ${idOrName}. Servers refuse it within five seconds.`);
}

function actsFor(key: ApiKey): string {
  if (key.role === 'admin' || key.role === 'operator') return 'all';
  return key.tenants.length === 0 ? 'none' : key.tenants.join(', ');
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

function expiryOf(text: string, nowMs: number): Date {
  const [, count, unit] = /^(\d{1,5})([mhdw])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return new Date(nowMs + Number(count) * (unitMs[unit] ?? 0));
  const date = /^\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z)?$/.test(text) ? new Date(text) : undefined;
  if (date !== undefined && !Number.isNaN(date.getTime())) return date;
  throw usageError('--expires must be a time such as 90d, 12h or 2w, or a date such as 2027-01-31.');
}
