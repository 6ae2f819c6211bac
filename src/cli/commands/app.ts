import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { checkName, checkProviderId } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import { appToJson } from '../../schemas/app-json.ts';
import type { App, AppInput, Vault } from '../../vault/types.ts';
import { parseSecretSources, promptSecret, readSecrets } from '../client-secrets.ts';
import { type Context, contextOf, makeContextVault, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { collect } from '../options.ts';
import { redirectUriOf } from '../redirect-uri.ts';
import { usageError } from '../terminal/errors.ts';
import { canPrompt } from '../terminal/prompt.ts';
import { fields, table } from '../terminal/table.ts';

interface AddOptions {
  provider: string;
  clientId: string;
  clientSecretFile?: string[];
  dc?: string;
  redirectUri?: string;
  scope?: string[];
  tenant?: string[];
  returnTo?: string[];
}

export function define(command: Command): void {
  command.description('Client registrations: what a provider gave you for your own program.');
  command
    .command('add')
    .summary('keep a client registration, or change one')
    .description(
      'Keeps a client registration and prints the redirect URI to register at the provider. An app of that name is ' +
        'changed: what is not named stays as it is, secrets too. The secret is asked for at the prompt, or read from a file.',
    )
    .argument('<name>', 'your name for it, such as zoho-eu')
    .requiredOption('--provider <provider>', 'such as zoho_crm; grantry provider list shows them')
    .requiredOption('--client-id <id>', 'the client id as the provider shows it')
    .option(
      '--client-secret-file <[dc=]file>',
      'a file with the client secret, - for stdin; with dc= for one data centre',
      collect,
    )
    .option('--dc <dc>', 'the data centre in which the client was registered, such as eu')
    .option('--redirect-uri <uri>', 'the redirect URI that is registered; for grantry connect a loopback one')
    .option('--scope <scope>', 'what to ask for; may be given several times', collect)
    .option('--tenant <tenant>', 'keep the app for this tenant; may be given several times', collect)
    .option('--return-to <url>', 'where connect sessions may send the browser; may be given several times', collect)
    .addHelpText(
      'after',
      `
Examples:
  grantry app add zoho-eu --provider zoho_crm --client-id 1000.ABC --client-secret-file secret.txt --dc eu \\
    --redirect-uri http://127.0.0.1:8484/callback --scope ZohoCRM.modules.ALL
  grantry app add zoho --provider zoho_crm --client-id 1000.ABC --client-secret-file eu=eu.txt --client-secret-file us=us.txt`,
    )
    .action(async (name: string, options: AddOptions, leaf: Command) => add(contextOf(leaf), name, options));
  command
    .command('list')
    .summary('list client registrations')
    .description('Lists client registrations, never their secrets.')
    .addHelpText('after', '\nExample:\n  grantry app list --json')
    .action(async (_options: unknown, leaf: Command) => list(contextOf(leaf)));
  command
    .command('show')
    .summary('show one')
    .description('Shows one client registration, never its secrets.')
    .argument('<name>', 'the app')
    .addHelpText('after', '\nExample:\n  grantry app show zoho-eu')
    .action(async (name: string, _options: unknown, leaf: Command) => show(contextOf(leaf), name));
  command
    .command('remove')
    .summary('remove one that no grant uses')
    .description('Removes a client registration. One that grants use is refused: disconnect them first.')
    .argument('<name>', 'the app')
    .addHelpText('after', '\nExample:\n  grantry app remove zoho-eu')
    .action(async (name: string, _options: unknown, leaf: Command) => remove(contextOf(leaf), name));
}

async function add(context: Context, name: string, options: AddOptions): Promise<void> {
  checkName('app', name);
  const provider = checkProviderId(options.provider);
  const sources = parseSecretSources(options.clientSecretFile ?? []);
  const tenants: string[] = [];
  for (const tenant of options.tenant ?? []) tenants.push(await resolveTenant(context, tenant, { changes: true }));
  const given = await readSecrets(sources);
  await using vault = await makeContextVault(context);
  const old = await vault.apps.get(name);
  // What was set for one provider means nothing at another.
  const kept = old?.provider === provider ? old : null;
  const secrets = sources.length > 0 || kept !== null ? given : await missingSecret(vault, name, provider);
  const app = await vault.apps.put(name, appInput(options, provider, { tenants, secrets, kept }));
  const redirectUri = redirectUriOf(app, context.settings);
  if (context.output.json) {
    context.output.printJson(appToJson(app, redirectUri));
    return;
  }
  const changed = `App ${app.name} was there and is changed; what was not named stays as it was.`;
  context.output.print(old === null ? `App ${app.name} is kept.` : changed);
  context.output.print(`Register this redirect URI at the provider: ${redirectUri}`);
}

function appInput(
  options: AddOptions,
  provider: string,
  { tenants, secrets, kept }: { tenants: string[]; secrets: Record<string, Secret>; kept: App | null },
): AppInput {
  const scopes = options.scope?.flatMap((scope) => scope.split(/[\s,]+/).filter((part) => part !== ''));
  return {
    provider,
    clientId: options.clientId,
    ...(Object.keys(secrets).length === 0 ? {} : { clientSecrets: secrets }),
    dc: options.dc ?? kept?.dc ?? undefined,
    redirectUri: options.redirectUri ?? kept?.redirectUri ?? undefined,
    scopes: scopes ?? kept?.scopes ?? [],
    tenants: tenants.length === 0 ? (kept?.tenants ?? undefined) : tenants,
    returnTo: options.returnTo ?? kept?.returnTo ?? [],
  };
}

/** A new app of a provider that wants a secret needs one from somewhere. */
async function missingSecret(vault: Vault, name: string, provider: string): Promise<Record<string, Secret>> {
  const definition = await vault.providers.get(provider);
  if (definition === null) {
    throw new GrantryError('not_found', `There is no provider ${provider}.`, { action: 'See grantry provider list.' });
  }
  if (definition.clientAuthentication === 'none') return {};
  if (canPrompt()) return promptSecret(`app ${name}`);
  throw usageError(
    'A new app needs its client secret.',
    'Add --client-secret-file FILE, or - to read it from standard input.',
  );
}

async function list(context: Context): Promise<void> {
  await using vault = await openContextVault(context);
  const apps = await vault.apps.list();
  if (context.output.json) {
    context.output.printJson(apps.map((each) => appToJson(each)));
    return;
  }
  if (apps.length === 0) {
    context.output.note('No apps yet. grantry app add --help shows how to add one.');
    return;
  }
  const rows = apps.map((app) => [
    app.name,
    app.provider,
    app.clientId,
    app.dc ?? '-',
    app.tenants?.join(',') ?? 'all',
    app.secrets.join(',') || 'none',
  ]);
  for (const line of table(['APP', 'PROVIDER', 'CLIENT ID', 'DC', 'TENANTS', 'SECRETS FOR'], rows))
    context.output.print(line);
}

async function show(context: Context, name: string): Promise<void> {
  checkName('app', name);
  await using vault = await openContextVault(context);
  const app = await existing(vault, name);
  if (context.output.json) {
    context.output.printJson(appToJson(app));
    return;
  }
  const lines = fields([
    ['app', app.name],
    ['provider', app.provider],
    ['client id', app.clientId],
    ['data centre', app.dc ?? '-'],
    ['redirect URI', redirectUriOf(app, context.settings)],
    ['scopes', app.scopes.join(' ') || '-'],
    ['tenants', app.tenants?.join(', ') ?? 'all'],
    ['return to', app.returnTo.join(' ') || '-'],
    ['secrets for', app.secrets.map((dc) => (dc === '*' ? 'all data centres' : dc)).join(', ') || '-'],
  ]);
  for (const line of lines) context.output.print(line);
}

async function remove(context: Context, name: string): Promise<void> {
  checkName('app', name);
  await using vault = await openContextVault(context);
  await vault.apps.remove(name);
  if (context.output.json) context.output.printJson({ name, removed: true });
  else context.output.print(`App ${name} is removed.`);
}

async function existing(vault: Vault, name: string): Promise<App> {
  const app = await vault.apps.get(name);
  if (app !== null) return app;
  throw new GrantryError('not_found', `There is no app ${name}.`, { action: 'See grantry app list.' });
}
