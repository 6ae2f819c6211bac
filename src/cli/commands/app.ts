import { type Command, Option } from 'commander';
import { checkName, checkProviderId } from '../../base/ids.ts';
import { redirectUriAt } from '../../base/network/callback-uri.ts';
import type { Secret } from '../../base/secret.ts';
import { toJson } from '../../schemas/json.ts';
import { appToJson } from '../../schemas/write-json.ts';
import type { App, AppInput, Vault } from '../../vault/types.ts';
import { namedApp } from '../choose-app.ts';
import { parseSecretSources, promptSecret, readSecrets } from '../client-secrets.ts';
import { type Context, contextOf, databaseExists, makeContextVault, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { definitionFor } from '../import/importer.ts';
import { collect, epilogue } from '../options.ts';
import { noteScopeFindings, noteSeparator, readScopeReasons, splitScopeOptions } from '../scope-options.ts';
import { usageError } from '../terminal/errors.ts';
import { minute } from '../terminal/present.ts';
import { canPrompt } from '../terminal/prompt.ts';
import { alteredRow, printFields, printTable } from '../terminal/table.ts';

/** The redirect URI for `grantry connect` when no other is chosen. */
export const loopbackRedirectUri = 'http://127.0.0.1:8484/callback';

interface AddOptions {
  provider?: string;
  clientId?: string;
  clientSecretFile?: string[];
  dc?: string;
  redirectUri?: string;
  scope?: string[];
  scopeReason?: string[];
  pkce?: 'off' | 'S256' | 'default';
  tenant?: string[];
  returnTo?: string[];
}

export function define(command: Command): void {
  command.description('Client registrations (apps): the client id and secret that a provider gave you.');
  defineAdd(command);
  command
    .command('list')
    .summary('list client registrations')
    .description('Lists client registrations without their secrets.')
    .addHelpText('after', epilogue('Example:\n  grantry app list --json'))
    .action(async (_options: unknown, leaf: Command) => list(contextOf(leaf)));
  command
    .command('show')
    .summary('show one client registration')
    .description('Shows one client registration without its secrets.')
    .argument('<name>', 'the app')
    .addHelpText('after', epilogue('Example:\n  grantry app show zoho-eu'))
    .action(async (name: string, _options: unknown, leaf: Command) => show(contextOf(leaf), name));
  defineSlots(command);
  command
    .command('remove')
    .summary('remove a client registration that no grant uses')
    .description('Removes a client registration. While grants use it, it stays: disconnect them first.')
    .argument('<name>', 'the app')
    .addHelpText('after', epilogue('Example:\n  grantry app remove zoho-eu'))
    .action(async (name: string, _options: unknown, leaf: Command) => remove(contextOf(leaf), name));
}

function defineAdd(command: Command): void {
  command
    .command('add')
    .summary('add a client registration, or change one')
    .description(
      'Stores a client registration and prints the redirect URI to register at the provider. An existing app of that ' +
        'name is changed, and options that are left out stay as they were, including secrets. The client secret comes from ' +
        'a file, from standard input or from the prompt. A new app without --client-id is not stored: the command prints ' +
        'the redirect URI that the provider asks for first.',
    )
    .argument('<name>', 'your name for the app, such as zoho-eu')
    .option('--provider <provider>', 'the provider of a new app, such as zoho_crm (see grantry provider list)')
    .option('--client-id <id>', 'the client id from the console of the provider')
    .option(
      '--client-secret-file <[dc=]file>',
      'the file with the client secret, or - for stdin; dc=FILE for one data centre',
      collect,
    )
    .option('--dc <dc>', 'the data centre of the client registration, such as eu')
    .option('--redirect-uri <uri>', 'the registered redirect URI; grantry connect needs one on this machine')
    .option('--scope <scope>', 'a scope to request; may be given several times', collect)
    .option(
      '--scope-reason <scope=text>',
      'why the app needs a broad scope, for reviews; may be given several times; an empty text removes it',
      collect,
    )
    .addOption(
      new Option('--pkce <mode>', 'PKCE of this app; default is what the provider says').choices([
        'off',
        'S256',
        'default',
      ]),
    )
    .option('--tenant <tenant>', 'serve only this tenant; may be given several times', collect)
    .option(
      '--return-to <url>',
      'a URL to which a connect session may send the browser; may be given several times',
      collect,
    )
    .addHelpText(
      'after',
      epilogue(`Examples:
  grantry app add zoho-eu --provider zoho_crm
  grantry app add zoho-eu --provider zoho_crm --dc eu --client-id 1000.ABC \\
    --client-secret-file secret.txt --scope ZohoCRM.modules.ALL \\
    --redirect-uri http://127.0.0.1:8484/callback
  grantry app add zoho --provider zoho_crm --client-id 1000.ABC \\
    --client-secret-file eu=eu.txt --client-secret-file us=us.txt
  grantry app add zoho-eu --client-secret-file new-secret.txt
  grantry app add zoho-eu \\
    --scope-reason 'ZohoCRM.modules.ALL=syncs leads and deals'`),
    )
    .action(async (name: string, options: AddOptions, leaf: Command) => add(contextOf(leaf), name, options));
}

function defineSlots(command: Command): void {
  command
    .command('slots')
    .summary('count the refresh tokens of a client registration')
    .description(
      'Counts the refresh tokens of a client registration per user of the provider. Some providers keep few of them, and ' +
        'end the grant of the oldest consent at the next one: that grant is named.',
    )
    .argument('<name>', 'the app')
    .addHelpText('after', epilogue('Example:\n  grantry app slots zoho-eu'))
    .action(async (name: string, _options: unknown, leaf: Command) => slots(contextOf(leaf), name));
}

async function add(context: Context, name: string, options: AddOptions): Promise<void> {
  checkName('app', name);
  const provider =
    options.provider === undefined ? await knownProvider(context, name) : checkProviderId(options.provider);
  const sources = parseSecretSources(options.clientSecretFile ?? []);
  const tenants: string[] = [];
  for (const tenant of options.tenant ?? []) tenants.push(await resolveTenant(context, tenant, { changes: true }));
  if (options.clientId === undefined && (await isNew(context, name, provider))) {
    printRedirectUri(context, name, { provider, redirectUri: options.redirectUri });
    return;
  }
  const given = await readSecrets(sources);
  await using vault = await makeContextVault(context);
  const old = await vault.apps.get(name);
  // The settings for one provider have no meaning at another.
  const kept = old?.provider === provider ? old : null;
  const secrets = sources.length > 0 || kept !== null ? given : await missingSecret(vault, name, provider);
  const app = await vault.apps.put(name, appInput(options, provider, { tenants, secrets, kept }));
  const redirectUri = redirectUriAt(context.settings.publicUrl, app);
  noteSeparator(context.output, await definitionFor(vault, provider), options.scope);
  noteScopeFindings(context.output, app.warnings);
  if (context.output.json) return context.output.printJson(appToJson(app, redirectUri));
  const changed = `Changed the app ${app.name}; what you left out stays as it was.`;
  context.output.print(old === null ? `Added the app ${app.name}.` : changed);
  if (old !== null && sources.length > 0) {
    const places = app.secrets.map((dc) => (dc === '*' ? 'all data centres' : dc)).join(', ');
    context.output.note(
      `Its former secret is replaced, and the new one was not tried. It now has secrets for: ${places}.`,
    );
  }
  context.output.print(`Register this redirect URI at the provider: ${redirectUri}`);
}

/** The provider of an existing app. @throws {GrantryError} `invalid_request` for a new one, whose provider must be named */
async function knownProvider(context: Context, name: string): Promise<string> {
  if (context.settings.server !== undefined || databaseExists(context)) {
    await using vault = await openContextVault(context);
    const app = await vault.apps.get(name);
    if (app !== null) return app.provider;
  }
  throw usageError(`There is no app ${name} yet, and a new one needs its provider.`, 'Add --provider PROVIDER.');
}

function appInput(
  options: AddOptions,
  provider: string,
  { tenants, secrets, kept }: { tenants: string[]; secrets: Record<string, Secret>; kept: App | null },
): AppInput {
  const scopes = splitScopeOptions(options.scope) ?? kept?.scopes ?? [];
  const { pkce } = options;
  return {
    provider,
    clientId: options.clientId ?? kept?.clientId ?? '',
    ...(Object.keys(secrets).length === 0 ? {} : { clientSecrets: secrets }),
    dc: options.dc ?? kept?.dc ?? undefined,
    redirectUri: options.redirectUri ?? kept?.redirectUri ?? undefined,
    scopes,
    scopeReasons: mergedReasons(scopes, kept?.scopeReasons ?? {}, readScopeReasons(options.scopeReason ?? [])),
    pkce: pkce === undefined ? (kept?.pkce ?? null) : pkce === 'default' ? null : pkce,
    tenants: tenants.length === 0 ? (kept?.tenants ?? undefined) : tenants,
    returnTo: options.returnTo ?? kept?.returnTo ?? [],
  };
}

/** The kept reasons of the scopes that stay, and the new ones over them. An empty text removes a reason. */
function mergedReasons(
  scopes: readonly string[],
  kept: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const names = new Set(scopes.map((scope) => scope.toLowerCase()));
  const replaced = new Set(Object.keys(given).map((scope) => scope.toLowerCase()));
  const staying = Object.entries(kept).filter(([scope]) => {
    const name = scope.toLowerCase();
    return names.has(name) && !replaced.has(name);
  });
  return Object.fromEntries([...staying, ...Object.entries(given).filter(([, reason]) => reason !== '')]);
}

/** True for a new app. It makes no home and no database. @throws {GrantryError} `not_found` when there is no such provider */
async function isNew(context: Context, name: string, provider: string): Promise<boolean> {
  const isThere = context.settings.server !== undefined || databaseExists(context);
  await using vault = isThere ? await openContextVault(context) : null;
  await definitionFor(vault, provider);
  return vault === null || (await vault.apps.get(name))?.provider !== provider;
}

/**
 * Prints the redirect URI, which providers need before they issue a client id. A loopback address is free to choose; at a
 * server the URI belongs to the stored app, and is not known before.
 */
function printRedirectUri(
  context: Context,
  name: string,
  { provider, redirectUri }: { provider: string; redirectUri: string | undefined },
): void {
  const { settings, output } = context;
  if (redirectUri === undefined && (settings.server !== undefined || settings.isPublicUrlGiven)) {
    throw usageError(
      'A server makes the redirect URI of an app when it stores the app.',
      'Pass any text as --client-id, register the printed redirect URI, then run grantry app add again with the real id.',
    );
  }
  const uri = redirectUri ?? loopbackRedirectUri;
  if (!URL.canParse(uri)) throw usageError('The redirect URI is not a URL.', `Use one such as ${loopbackRedirectUri}.`);
  if (output.json) return output.printJson({ name, provider, client_id: null, redirect_uri: uri, stored: false });
  output.print(`Register this redirect URI at the provider: ${uri}`);
  output.note(`The app ${name} is not stored yet. When the provider has issued a client id, run this again with`);
  output.note(`  --redirect-uri '${uri}' --client-id ID --client-secret-file FILE`);
}

/** Gets the secret of a new app, where the provider needs one. */
async function missingSecret(vault: Vault, name: string, provider: string): Promise<Record<string, Secret>> {
  const definition = await definitionFor(vault, provider);
  if (definition.clientAuthentication === 'none') return {};
  if (canPrompt()) return promptSecret(`app ${name}`);
  throw usageError(
    `The new app ${name} needs its client secret.`,
    'Add --client-secret-file FILE, or --client-secret-file - for standard input.',
  );
}

async function list(context: Context): Promise<void> {
  await using vault = await openContextVault(context);
  const apps = await vault.apps.list();
  if (context.output.json) return context.output.printJson(apps.map((each) => appToJson(each)));
  if (apps.length === 0) {
    return context.output.note('There are no apps yet. Run grantry app add --help to see how to add one.');
  }
  printTable(context.output, apps, {
    APP: ({ name }) => name,
    PROVIDER: ({ provider, integrityFailed }) => (integrityFailed ? alteredRow : provider),
    'CLIENT ID': ({ clientId }) => clientId,
    DC: ({ dc }) => dc ?? '-',
    TENANTS: ({ tenants }) => tenants?.join(',') ?? 'all',
    'SECRETS FOR': ({ secrets }) => secrets.join(',') || 'none',
  });
  for (const { name, scopesWithoutReason } of apps) {
    if (scopesWithoutReason.length > 0) {
      context.output.note(`${name} has broad scopes without a reason: ${scopesWithoutReason.join(' ')}`);
    }
  }
}

async function show(context: Context, name: string): Promise<void> {
  checkName('app', name);
  await using vault = await openContextVault(context);
  const app = await namedApp(vault, name);
  if (context.output.json) return context.output.printJson(appToJson(app));
  printFields(context.output, [
    ['app', app.name],
    ['provider', app.provider],
    ['client id', app.clientId],
    ['data centre', app.dc ?? '-'],
    ['redirect URI', redirectUriAt(context.settings.publicUrl, app)],
    ['scopes', app.scopes.join(' ') || '-'],
    ...Object.entries(app.scopeReasons).map(([scope, reason]) => [`reason for ${scope}`, reason] as const),
    ...(app.scopesWithoutReason.length === 0
      ? []
      : ([['broad, no reason', app.scopesWithoutReason.join(' ')]] as const)),
    ['PKCE', app.pkce ?? "the provider's"],
    ['tenants', app.tenants?.join(', ') ?? 'all'],
    ['return to', app.returnTo.join(' ') || '-'],
    ['secrets for', app.secrets.map((dc) => (dc === '*' ? 'all data centres' : dc)).join(', ') || '-'],
  ]);
}

async function slots(context: Context, name: string): Promise<void> {
  checkName('app', name);
  await using vault = await openContextVault(context);
  const all = await vault.apps.slots(name);
  if (context.output.json) return context.output.printJson(all.map((each) => toJson(each)));
  if (all.length === 0)
    return context.output.note('No refresh token is counted: there is none, or the provider keeps any number.');
  printTable(context.output, all, {
    USER: ({ user }) => user ?? 'not named',
    DC: ({ dc }) => dc ?? '-',
    TOKENS: ({ tokens, upTo }) => (upTo > tokens ? `${tokens} to ${upTo}` : String(tokens)),
    OF: ({ max }) => String(max),
    'ENDS FIRST': ({ next }) => (next === null ? '-' : `${next.tenant} ${next.provider} (account ${next.account})`),
    'CONSENT OF': ({ nextConsentedAt }) => minute(nextConsentedAt),
  });
}

async function remove(context: Context, name: string): Promise<void> {
  checkName('app', name);
  await using vault = await openContextVault(context);
  await vault.apps.remove(name);
  if (context.output.json) context.output.printJson({ name, removed: true });
  else context.output.print(`Removed the app ${name}.`);
}
