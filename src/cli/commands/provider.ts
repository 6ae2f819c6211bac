import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { checkProviderId } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { builtInProviderIds } from '../../base/provider-ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { toJson } from '../../schemas/json.ts';
import type { ProviderSummary } from '../../schemas/provider.ts';
import type { Vault } from '../../vault/types.ts';
import { type Context, contextOf, databaseExists, makeContextVault, openContextVault } from '../context.ts';
import { factRows } from '../facts.ts';
import { readSmallFile } from '../files.ts';
import { definitionFor } from '../import/importer.ts';
import { epilogue } from '../options.ts';
import { decodeText, readStdin } from '../terminal/prompt.ts';
import { alteredRow, printFields, printTable } from '../terminal/table.ts';

export function define(command: Command): void {
  command.description('Built-in and custom providers.');
  command
    .command('list')
    .summary('list providers')
    .description('Lists the built-in providers and those you added.')
    .addHelpText('after', epilogue('Example:\n  grantry provider list'))
    .action(async (_options: unknown, leaf: Command) => list(contextOf(leaf)));
  command
    .command('show')
    .summary('show the definition of a provider')
    .description('Shows a provider. With --json, prints the whole definition in the form that provider add reads.')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .addHelpText('after', epilogue('Example:\n  grantry provider show zoho_crm --json > mine.json'))
    .action(async (provider: string, _options: unknown, leaf: Command) => show(contextOf(leaf), provider));
  command
    .command('add')
    .summary('add or replace a custom provider')
    .description(
      'Adds a custom provider from its definition; docs/providers.md describes the form. If the definition names an issuer, its endpoints are fetched from there.',
    )
    .argument('<file>', 'the definition in JSON, or - for stdin')
    .addHelpText('after', epilogue('Example:\n  grantry provider add example.json'))
    .action(async (file: string, _options: unknown, leaf: Command) => add(contextOf(leaf), file));
  command
    .command('remove')
    .summary('remove a custom provider')
    .description('Removes a custom provider that no app uses.')
    .argument('<provider>', 'the id of the provider')
    .addHelpText('after', epilogue('Example:\n  grantry provider remove example'))
    .action(async (provider: string, _options: unknown, leaf: Command) => remove(contextOf(leaf), provider));
}

async function list(context: Context): Promise<void> {
  await using vault = await catalogueVault(context);
  const providers = vault === null ? await builtInProviders() : await vault.providers.list();
  if (context.output.json) return context.output.printJson(providers.map((each) => toJson(each)));
  printTable(context.output, providers, {
    PROVIDER: ({ id }) => id,
    NAME: ({ name }) => name,
    ORIGIN: originOf,
  });
}

async function show(context: Context, provider: string): Promise<void> {
  checkProviderId(provider);
  await using vault = await catalogueVault(context);
  const definition = await definitionFor(vault, provider);
  if (context.output.json) return context.output.printJson(definition);
  const { endpoints, refreshToken, accessToken, tokenLimit, api } = definition;
  const { scopesOf } = await import('../../providers/scope-table.ts');
  const table = await scopesOf(definition);
  printFields(context.output, [
    ['provider', definition.id],
    ['name', definition.name ?? '-'],
    ['documentation', definition.documentation ?? '-'],
    ['data centres', Object.keys(definition.dataCenters ?? {}).join(' ') || '-'],
    ['authorization', endpoints?.authorization ?? definition.issuer ?? '-'],
    ['token', endpoints?.token ?? definition.issuer ?? '-'],
    ['revocation', endpoints?.revocation ?? '-'],
    ['client', definition.clientAuthentication],
    ['PKCE', definition.pkce],
    ['access token', `${accessToken.lifetimeSeconds} s, refreshed ${accessToken.earlyRefreshSeconds} s before its end`],
    ['rotation', refreshToken.rotation],
    [
      'refresh tokens',
      refreshToken.livePerUserAndClient === null ? '-' : `${refreshToken.livePerUserAndClient} per user and app`,
    ],
    ['more scopes', definition.scopeEnhancement === undefined ? 'by a new consent' : 'the refresh token stays'],
    ['token limit', tokenLimit === undefined ? '-' : `${tokenLimit.requests} in ${tokenLimit.windowSeconds} s`],
    ['API hosts', api.hosts.join(' ')],
    ['scopes', scopesText(definition)],
    ['health call', api.health === undefined ? '-' : `${api.health.path} (scope ${api.health.scope ?? 'any'})`],
    ['organisation', organizationText(definition)],
    ...(definition.sources ?? []).map(
      ({ url, read, note }) => ['source', `${url} (${note ?? 'read'}, ${read})`] as const,
    ),
  ]);
  const facts = factRows(definition);
  if (facts.length > 0) {
    context.output.print('');
    printTable(context.output, facts, {
      FACT: ({ fact }) => fact,
      MARK: ({ mark }) => mark,
      READ: ({ read }) => read,
      SOURCE: ({ source }) => source,
    });
  }
  if (table.length === 0) return;
  context.output.print('');
  printTable(context.output, table, {
    SCOPE: ({ name }) => name,
    ALLOWS: ({ words, broad, retired }) =>
      retired === undefined ? `${words}${broad === true ? ' (broad)' : ''}` : `Retired. ${retired}`,
    'WHEN NEEDED': ({ when }) => when ?? '-',
  });
}

function originOf({ id, builtIn, integrityFailed }: ProviderSummary): string {
  if (integrityFailed === true) return alteredRow;
  if (builtIn) return 'built in';
  return builtInProviderIds.some((known) => known === id) ? 'replaced' : 'added';
}

function scopesText({ scopePrefix, scopeSeparator }: ProviderDefinition): string {
  const separator = scopeSeparator === ' ' ? 'spaces' : `"${scopeSeparator}"`;
  return `${scopePrefix === undefined ? '' : `begin with ${scopePrefix}., `}separated by ${separator}`;
}

function organizationText({ api: { organization } }: ProviderDefinition): string {
  if (organization === undefined) return '-';
  const where = organization.in === 'header' ? 'header' : 'query parameter';
  return `metadata.org_id in the ${where} ${organization.name}`;
}

/** The vault, or null where there is none: the built-in catalogue needs none. */
async function catalogueVault(context: Context): Promise<Vault | null> {
  return databaseExists(context) ? openContextVault(context) : null;
}

async function builtInProviders(): Promise<Awaited<ReturnType<Vault['providers']['list']>>> {
  const { builtInProvider } = await import('../../providers/catalogue.ts');
  return [...builtInProviderIds].sort().map((id) => ({ id, name: builtInProvider(id)?.name ?? id, builtIn: true }));
}

async function add(context: Context, file: string): Promise<void> {
  const text =
    file === '-'
      ? await readStdin('definition', limits.documentBytesMax)
      : decodeText(await readSmallFile(file, limits.documentBytesMax), file);
  const definition = parseJson(text, file === '-' ? 'Standard input' : file);
  await using vault = await makeContextVault(context);
  const added = await vault.providers.put(definition);
  if (context.output.json) context.output.printJson(added);
  else context.output.print(`Added the provider ${added.id}.`);
}

async function remove(context: Context, provider: string): Promise<void> {
  checkProviderId(provider);
  await using vault = await openContextVault(context);
  await vault.providers.remove(provider);
  if (context.output.json) context.output.printJson({ id: provider, removed: true });
  else context.output.print(`Removed the provider ${provider}.`);
}

function parseJson(text: string, subject: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The message of the parser repeats a piece of the file, which may hold a secret.
    throw new GrantryError('invalid_request', `${subject} is not JSON.`, {
      action: 'Pass a provider definition in JSON; grantry provider show ID --json prints one.',
      cause,
    });
  }
}
