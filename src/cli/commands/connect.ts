import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName } from '../../base/ids.ts';
import { limits, timesOf } from '../../base/limits.ts';
import { redirectUriAt } from '../../base/network/callback-uri.ts';
import { Secret } from '../../base/secret.ts';
import { toJson } from '../../schemas/json.ts';
import { slotsMessage } from '../../vault/grant/slots/words.ts';
import { severalMessage, sharedMessage } from '../../vault/organization/words.ts';
import type { Grant, Vault } from '../../vault/types.ts';
import { openBrowser } from '../browser.ts';
import { chooseApp } from '../choose-app.ts';
import { type Context, contextOf, openContextVault, openServer } from '../context.ts';
import { stderrLogger, without } from '../log.ts';
import { isLoopbackRedirect, listenForCallback } from '../loopback-listener.ts';
import { readMembers } from '../metadata-members.ts';
import { collect, epilogue } from '../options.ts';
import { noteOrganization } from '../organizations.ts';
import { noteAddition, noteGrantedScopes, noteScopeFindings, splitScopeOptions } from '../scope-options.ts';
import { endGently, ownSignals } from '../signals.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { toGrantryError, usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { canPrompt, promptLine, readStdin, readStdinLine } from '../terminal/prompt.ts';
import { noteSlots } from '../terminal/slots.ts';

export interface ConnectOptions {
  app?: string;
  account?: string;
  scope?: string[];
  addScope?: string[];
  paste?: boolean;
  code?: string;
  dc?: string;
  org?: string;
  metadata?: string[];
  environment?: string;
  expectOrg?: string;
  open: boolean;
  anyway?: boolean;
}

export function define(command: Command): void {
  command
    .description(
      'Connects a tenant to a provider: prints a URL for the browser, waits until the browser comes back, and stores the ' +
        "tokens. It listens at the app's redirect URI on this machine for up to 10 minutes. With GRANTRY_URL, the server " +
        'makes a link that works on every machine.',
    )
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .option('--app <name>', 'the app to use, when the provider has several')
    .option('--account <name>', 'a label for the account, when the tenant has several at this provider')
    .option('--scope <scope>', "a scope to request instead of the app's scopes; may be given several times", collect)
    .option(
      '--add-scope <scope>',
      'a scope that the existing grant gains; its refresh token stays where the provider can; may be given several times',
      collect,
    )
    .option('--paste', 'for a browser on another machine: paste the URL at which it ends')
    .option('--code <->', 'read a Zoho self-client code from standard input')
    .option('--dc <dc>', 'with --code: the data centre of the code')
    .option('--org <id>', "the organisation's id at the provider, for the metadata of the grant")
    .option('--metadata <name=value>', 'a member of the metadata of the grant; may be given several times', collect)
    .option(
      '--environment <name>',
      'the environment of the organisation, such as sandbox, where the provider has several',
    )
    .option('--expect-org <id>', 'store nothing unless the consent is for this organisation')
    .option('--no-open', 'do not try to open a browser')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`Examples:
  grantry connect acme zoho_crm --app zoho-eu
  grantry connect acme zoho_crm --paste
  grantry connect acme zoho_crm --add-scope ZohoCRM.coql.READ
  grantry connect acme zoho_crm --environment sandbox --expect-org 20071234567
  grantry connect acme zoho_crm --code - < code.txt`),
    )
    .action(async (tenant: string, provider: string, options: ConnectOptions) =>
      connect(contextOf(command), tenant, provider, options),
    );
}

async function connect(context: Context, given: string, provider: string, options: ConnectOptions): Promise<void> {
  checkOptions(options);
  const tenant = actedTenant(context, given, { anyway: options.anyway, changes: true });
  const key = checkKey({ tenant, provider, account: options.account });
  const members = {
    ...readMembers(options.metadata ?? []),
    ...(options.org === undefined ? {} : { org_id: options.org }),
  };
  const code = options.code === undefined ? null : await readCode();
  const logger = without(stderrLogger(context.world, context.settings), [sharedMessage, severalMessage, slotsMessage]);
  await using vault = await openContextVault(context, { logger });
  const connected =
    code === null
      ? await authorize(context, vault, key, options)
      : await redeem(context, vault, key, { ...options, code });
  await noteSlots(context.output, vault, connected.app === null ? [] : [connected.app]);
  const grant = Object.keys(members).length === 0 ? connected : await vault.updateMetadata(key, members);
  await noteOrganization(context, vault, grant);
  if (context.output.json) return context.output.printJson(toJson(grant));
  noteGrantedScopes(context.output, grant, splitScopeOptions(options.addScope));
  const { environment } = grant.metadata;
  const inside = typeof environment === 'string' ? `, ${environment}` : '';
  const where = grant.dc === null ? inside : `, data centre ${grant.dc}${inside}`;
  context.output.print(`Connected ${grant.tenant} to ${grant.provider} (account ${grant.account}${where}).`);
}

/** Redeems the code of a self client. */
export async function redeem(
  context: Context,
  vault: Vault,
  key: CheckedKey,
  { code, ...options }: Omit<ConnectOptions, 'code'> & { code: Secret },
): Promise<Grant> {
  const { name } = await chooseApp(vault, key, options.app);
  await noteSlots(context.output, vault, [name], key);
  const wanted = { code, app: name, dc: options.dc, ...wantedOf(options) };
  return withProgress(context.world, 'Redeeming the code', () => vault.redeemCode(key, wanted));
}

function wantedOf({ environment, expectOrg: expectOrganization }: Pick<ConnectOptions, 'environment' | 'expectOrg'>) {
  return { environment, expectOrganization };
}

export function checkOptions(options: ConnectOptions): void {
  if (options.app !== undefined) checkName('app', options.app);
  if (options.code !== undefined && options.code !== '-') {
    throw usageError(
      'A code is a secret and not allowed as an argument.',
      'Use --code - and pass it on standard input.',
    );
  }
  if (options.scope !== undefined && options.addScope !== undefined) {
    throw usageError('--scope and --add-scope cannot be combined.', 'Use --add-scope to keep the scopes of the grant.');
  }
  const { addScope, paste: isPasted, scope } = options;
  if (options.code !== undefined && (isPasted === true || scope !== undefined || addScope !== undefined)) {
    throw usageError(
      '--code cannot be combined with --paste, --scope or --add-scope.',
      'Leave the others out: the code has its scopes.',
    );
  }
  if (options.dc !== undefined && options.code === undefined)
    throw usageError('--dc works only with --code.', 'Leave --dc out, or add --code -.');
}

/** Connects through the browser; with a server, through its link. */
export async function authorize(
  context: Context,
  vault: Vault,
  key: CheckedKey,
  options: ConnectOptions,
): Promise<Grant> {
  const scopes = splitScopeOptions(options.scope);
  const addScopes = splitScopeOptions(options.addScope);
  const before = addScopes === undefined ? null : await vault.grants.get(key);
  if (addScopes !== undefined && before !== null) noteAddition(context.output, before, addScopes);
  const { server } = context.settings;
  if (server !== undefined && options.paste !== true) {
    const { connectThroughServer } = await import('../connect-through-server.ts');
    await using client = await openServer(context, server, { light: true });
    return await connectThroughServer(context, client, key, { ...options, scopes, addScopes, ...wantedOf(options) });
  }
  const app = await chooseApp(vault, key, options.app ?? before?.app ?? undefined);
  const redirectUri = redirectUriAt(context.settings.publicUrl, app);
  if (options.paste !== true && !isLoopbackRedirect(redirectUri)) {
    throw usageError(
      `The redirect URI of the app ${app.name} is not on this machine, so grantry cannot listen there.`,
      `Use --paste; or register http://127.0.0.1:8484/callback at the provider and run grantry app add ${app.name} --redirect-uri.`,
    );
  }
  await noteSlots(context.output, vault, [app.name], key);
  const { url, state, warnings, keepsRefreshToken } = await vault.authorize({
    ...key,
    app: app.name,
    scopes,
    addScopes,
    redirectUri,
    ...wantedOf(options),
  });
  noteScopeFindings(context.output, warnings);
  if (keepsRefreshToken) context.output.note('The refresh token of the grant stays and gains them.');
  else if (addScopes !== undefined)
    context.output.note('The provider asks for all scopes again, and issues a new refresh token.');
  return options.paste === true
    ? paste(context, vault, url)
    : waitForBrowser(context, vault, { url, state, redirectUri, open: options.open });
}

async function waitForBrowser(
  context: Context,
  vault: Vault,
  flow: { url: string; state: string; redirectUri: string; open: boolean },
): Promise<Grant> {
  const outcome = Promise.withResolvers<Grant>();
  // The browser is answered first; until then, an unawaited failure must not end the process.
  outcome.promise.catch(() => {});
  let answering = false;
  const listener = await listenForCallback(flow.redirectUri, flow.state, async (callbackUrl) => {
    answering = true;
    try {
      const grant = await vault.completeAuthorization(callbackUrl);
      outcome.resolve(grant);
      const text = `${grant.tenant} is connected to ${grant.provider}. You can close this page.`;
      return { tone: 'good', title: 'Connected', text };
    } catch (thrown) {
      const error = toGrantryError(thrown);
      outcome.reject(error);
      return { tone: 'bad', title: 'Not connected', text: `${error.message} ${error.action}` };
    }
  });
  await using _ = listener;
  const ended = new AbortController();
  const release = ownSignals((signal) => {
    release();
    if (!answering) context.output.note('Stopped before the browser came back; nothing has changed.');
    endGently(signal);
  });
  context.output.note(`Open this URL in a browser, signed in as the tenant's user:\n\n  ${flow.url}\n`);
  if (flow.open && process.stdout.isTTY && process.stderr.isTTY) await openBrowser(context.world, flow.url);
  const waiting = `Waiting for the browser to come back to ${flow.redirectUri} (up to 10 minutes; Ctrl-C stops)`;
  // While the code is being redeemed, the provider's answer decides.
  const givenUp = timeOut(context, timesOf(context.world).authorizationMs, ended.signal).catch((error: unknown) =>
    answering ? outcome.promise : Promise.reject(error),
  );
  try {
    return await withProgress(context.world, waiting, () => Promise.race([outcome.promise, givenUp]));
  } finally {
    givenUp.catch(() => {});
    ended.abort();
    release();
  }
}

async function timeOut(context: Context, ms: number, ended: AbortSignal): Promise<never> {
  await context.world.sleep(ms, ended);
  throw new GrantryError(
    'authorization_failed',
    'The browser did not come back within 10 minutes; nothing has changed.',
  );
}

/** Connects through a browser on another machine, from which the person brings the URL. */
async function paste(context: Context, vault: Vault, url: string): Promise<Grant> {
  context.output.note(`Open this URL in a browser, signed in as the tenant's user:\n\n  ${url}\n`);
  context.output.note('The browser then ends at a URL that may not load. Paste that whole URL here.');
  const pasted = canPrompt()
    ? await promptLine('URL: ', { secret: false })
    : (await readStdinLine('URL', limits.callbackCharsMax)).trim();
  if (!URL.canParse(pasted)) {
    throw usageError(
      'The pasted text is not a URL.',
      'Run grantry connect again and paste the whole URL, beginning with http.',
    );
  }
  return withProgress(context.world, 'Redeeming the code', () => vault.completeAuthorization(pasted));
}

export async function readCode(): Promise<Secret> {
  const text = canPrompt() ? await promptLine('Code: ', { secret: true }) : await readStdin('code', limits.urlCharsMax);
  const code = text.trim();
  if (!/^[\x21-\x7e]{1,2048}$/.test(code)) {
    throw usageError(
      'There is no code on standard input.',
      'Make one in the API console and pass it on standard input.',
    );
  }
  return new Secret(code);
}
