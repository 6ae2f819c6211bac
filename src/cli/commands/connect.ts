import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName } from '../../base/ids.ts';
import { limits, timesOf } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { toJson } from '../../schemas/json.ts';
import type { Grant, Vault } from '../../vault/types.ts';
import { openBrowser } from '../browser.ts';
import { chooseApp } from '../choose-app.ts';
import { type Context, contextOf, openContextVault, openServer } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { isLoopbackRedirect, listenForCallback } from '../loopback-listener.ts';
import { collect } from '../options.ts';
import { redirectUriOf } from '../redirect-uri.ts';
import { toGrantryError, usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { canPrompt, promptLine, readStdin, readStdinLine } from '../terminal/prompt.ts';

interface ConnectOptions {
  app?: string;
  account?: string;
  scope?: string[];
  paste?: boolean;
  code?: string;
  dc?: string;
  open: boolean;
}

export function define(command: Command): void {
  command
    .description(
      'Connects a tenant to a provider: prints an address, waits for the browser to come back, and keeps the tokens. ' +
        "It listens at the app's own loopback redirect URI, for at most 10 minutes. With GRANTRY_URL the server makes a link " +
        'that may be opened anywhere.',
    )
    .argument('<tenant>', 'the customer, or . for the current tenant')
    .argument('<provider>', 'such as zoho_crm')
    .option('--app <name>', 'the client registration to use, where several would do')
    .option('--account <name>', 'a label, when the tenant has several accounts at this provider')
    .option('--scope <scope>', "what to ask for instead of the app's scopes; may be given several times", collect)
    .option('--paste', 'the browser is on another machine: paste the address it ends at')
    .option('--code <->', 'read a Zoho self-client code from standard input')
    .option('--dc <dc>', 'with --code: the data centre in which the code was made')
    .option('--no-open', 'do not try to open a browser')
    .addHelpText(
      'after',
      `
Examples:
  grantry connect acme zoho_crm --app zoho-eu
  grantry connect acme zoho_crm --paste
  grantry connect acme zoho_crm --code - < code.txt`,
    )
    .action(async (tenant: string, provider: string, options: ConnectOptions) =>
      connect(contextOf(command), tenant, provider, options),
    );
}

async function connect(context: Context, given: string, provider: string, options: ConnectOptions): Promise<void> {
  checkOptions(options);
  const tenant = await resolveTenant(context, given, { changes: true });
  const key = checkKey({ tenant, provider, account: options.account });
  const code = options.code === undefined ? null : await readCode();
  await using vault = await openContextVault(context);
  const grant =
    code === null
      ? await authorize(context, vault, key, options)
      : await withProgress(context.world, 'Redeeming the code', () =>
          vault.redeemCode(key, { code, app: options.app, dc: options.dc }),
        );
  if (context.output.json) {
    context.output.printJson(toJson(grant));
    return;
  }
  const where = grant.dc === null ? '' : `, data centre ${grant.dc}`;
  context.output.print(`Connected ${grant.tenant} to ${grant.provider} (account ${grant.account}${where}).`);
}

function checkOptions(options: ConnectOptions): void {
  if (options.app !== undefined) checkName('app', options.app);
  if (options.code !== undefined && options.code !== '-') {
    throw usageError('A code is never given as an argument.', 'Use --code - and give the code on standard input.');
  }
  if (options.code !== undefined && (options.paste === true || options.scope !== undefined)) {
    throw usageError('--code goes with neither --paste nor --scope: the code brings its own.');
  }
  if (options.dc !== undefined && options.code === undefined) throw usageError('--dc goes with --code only.');
}

/** The way through the browser; a server has its own. */
async function authorize(context: Context, vault: Vault, key: CheckedKey, options: ConnectOptions): Promise<Grant> {
  const scopes = options.scope?.flatMap((scope) => scope.split(/[\s,]+/).filter(Boolean));
  const { server } = context.settings;
  if (server !== undefined && options.paste !== true) {
    const { connectThroughServer } = await import('../connect-through-server.ts');
    await using client = await openServer(context, server, { light: true });
    return await connectThroughServer(context, client, key, { ...options, scopes });
  }
  const app = await chooseApp(vault, key, options.app);
  const redirectUri = redirectUriOf(app, context.settings);
  if (options.paste !== true && !isLoopbackRedirect(redirectUri)) {
    throw usageError(
      `The redirect URI of the app ${app.name} is not on this machine, so nothing can listen there.`,
      'Use --paste, or register a redirect URI such as http://127.0.0.1:8484/callback and put it into the app.',
    );
  }
  const { url, state } = await vault.authorize({ ...key, app: app.name, scopes, redirectUri });
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
  // The listener's answer to the browser comes first; until somebody awaits it, a failure must not end the process.
  outcome.promise.catch(() => {});
  let answering = false;
  const listener = await listenForCallback(flow.redirectUri, flow.state, async (callbackUrl) => {
    answering = true;
    try {
      const grant = await vault.completeAuthorization(callbackUrl);
      outcome.resolve(grant);
      return {
        good: true,
        title: 'Connected',
        text: `${grant.tenant} is connected to ${grant.provider}. You can close this page.`,
      };
    } catch (thrown) {
      const error = toGrantryError(thrown);
      outcome.reject(error);
      return { good: false, title: 'Not connected', text: `${error.message} ${error.action}` };
    }
  });
  await using _ = listener;
  const ended = new AbortController();
  const interrupt = () => ended.abort('interrupted');
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  context.output.note(`Open this address in a browser, logged in as the customer's user:\n\n  ${flow.url}\n`);
  if (flow.open && process.stdout.isTTY && process.stderr.isTTY) openBrowser(flow.url);
  const waiting = `Waiting for the browser to come back to ${flow.redirectUri} (10 minutes at most, Ctrl-C ends it)`;
  // Once the code is being redeemed, only the provider's answer decides.
  const givenUp = timeOut(context, timesOf(context.world).authorizationMs, ended.signal).catch((error: unknown) =>
    answering ? outcome.promise : Promise.reject(error),
  );
  try {
    return await withProgress(context.world, waiting, () => Promise.race([outcome.promise, givenUp]));
  } finally {
    givenUp.catch(() => {});
    ended.abort();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

async function timeOut(context: Context, ms: number, ended: AbortSignal): Promise<never> {
  const interrupted = await context.world.sleep(ms, ended).then(
    () => false,
    () => true,
  );
  throw new GrantryError(
    'authorization_failed',
    interrupted
      ? 'Ended before the browser came back; nothing has changed.'
      : 'The browser did not come back in time; nothing has changed.',
  );
}

/** The way for browsers on another machine: the person brings the address back. */
async function paste(context: Context, vault: Vault, url: string): Promise<Grant> {
  context.output.note(`Open this address in a browser, logged in as the customer's user:\n\n  ${url}\n`);
  context.output.note('Afterwards the browser stands at an address that may not load. Paste that whole address here.');
  const pasted = canPrompt()
    ? await promptLine('Address: ', { secret: false })
    : (await readStdinLine('address', limits.urlCharsMax * 4)).trim();
  if (!URL.canParse(pasted)) {
    throw usageError(
      'What was pasted is not an address.',
      'Paste the whole address, from http to its end; then connect again.',
    );
  }
  return withProgress(context.world, 'Redeeming the code', () => vault.completeAuthorization(pasted));
}

async function readCode(): Promise<Secret> {
  const text = canPrompt() ? await promptLine('Code: ', { secret: true }) : await readStdin('code', limits.urlCharsMax);
  const code = text.trim();
  if (!/^[\x21-\x7e]{1,2048}$/.test(code)) {
    throw usageError('Standard input holds no code.', 'Make a code in the API console and pass it on standard input.');
  }
  return new Secret(code);
}
