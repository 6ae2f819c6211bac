import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { checkKey, checkName, checkProviderId, commandFor } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { wholeNumber } from '../../vault/settings.ts';
import type { AccessToken, Grant, Vault } from '../../vault/types.ts';
import { childEnvironment } from '../child-environment.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { collect, epilogue } from '../options.ts';
import { ownSignals } from '../signals.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { allGrants } from './list.ts';

interface ExecOptions {
  provider?: string[];
  account?: string;
  minValidity: string;
  pass?: string[];
  anyway?: boolean;
}

export function define(command: Command): void {
  command
    .description(
      "Runs a program with the tenant's tokens in its environment. For zoho_crm: ZOHO_CRM_ACCESS_TOKEN, …_API_DOMAIN, " +
        '…_EXPIRES_AT, …_DC and …_ORG_ID. Without --provider, the program gets every grant of the tenant. Variables ' +
        'that open the vault are withheld, and so are refresh tokens, client secrets and database passwords. The exit ' +
        'code is that of the program.',
    )
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<command...>', 'the program and its arguments, after --')
    .usage('TENANT [options] -- CMD [ARGS...]')
    .option('--provider <provider>', 'pass only the grant at this provider; may be given several times', collect)
    .option('--account <name>', 'the account, when the tenant has several')
    .option('-t, --min-validity <seconds>', 'seconds for which each token must still be valid', '60')
    .option('--pass <variable>', 'pass a variable that is withheld otherwise; may be given several times', collect)
    .option(...anywayOption)
    .addHelpText('after', epilogue('Example:\n  grantry exec acme --provider zoho_crm -- ./nightly-sync.sh'))
    .action(async (tenant: string, words: string[], options: ExecOptions) =>
      exec(contextOf(command), tenant, words, options),
    );
}

async function exec(context: Context, given: string, words: readonly string[], options: ExecOptions): Promise<void> {
  const [program, ...args] = words;
  if (program === undefined || program === '' || words.some((word) => word.includes('\0'))) {
    throw usageError('The program to run is missing.', 'Write it after --: grantry exec TENANT -- CMD ARGS');
  }
  const minValidity = wholeNumber('-t', options.minValidity, { min: 0, max: limits.minValiditySecondsMax });
  const tenant = actedTenant(context, given, { anyway: options.anyway, changes: true });
  const account = options.account === undefined ? undefined : checkName('account', options.account);
  const providers = (options.provider ?? []).map(checkProviderId);
  const variables = await withProgress(context.world, 'Fetching tokens', async () => {
    await using vault = await openContextVault(context, {}, { quiet: true });
    // Awaited here, since the vault closes at the end of this block.
    return await tokenVariables(vault, { tenant, providers, account, minValidity });
  });
  const { rootKey } = context.settings;
  const environment = childEnvironment(process.env, variables, { rootKey, passed: options.pass ?? [] });
  process.exitCode = await runChild(program, args, environment);
}

async function tokenVariables(
  vault: Vault,
  wanted: { tenant: string; providers: readonly string[]; account: string | undefined; minValidity: number },
): Promise<Record<string, string>> {
  const { tenant, minValidity } = wanted;
  const providers = wanted.providers.length > 0 ? wanted.providers : await connectedProviders(vault, wanted);
  const variables: Record<string, string> = {};
  for (const provider of providers) {
    const key = checkKey({ tenant, provider, account: wanted.account });
    const token = await vault.getAccessToken(key, { minValidity });
    Object.assign(variables, variablesOf(provider, token, await vault.grants.get(key)));
  }
  return variables;
}

async function connectedProviders(
  vault: Vault,
  { tenant, account }: { tenant: string; account: string | undefined },
): Promise<readonly string[]> {
  const grants = (await allGrants(vault, { tenant })).filter(
    (grant) => grant.state !== 'disconnected' && grant.account === (account ?? 'default'),
  );
  if (grants.length > 0) return grants.map((grant) => grant.provider);
  throw new GrantryError('grant_not_found', `${tenant} has no grant (account ${account ?? 'default'}).`, {
    action: `Connect one: ${commandFor('connect', { tenant, provider: 'PROVIDER', account: account ?? 'default' })}`,
  });
}

function variablesOf(provider: string, token: AccessToken, grant: Grant | null): Record<string, string> {
  const prefix = provider.toUpperCase().replace(/[^A-Z0-9]/g, '_');
  const apiDomain = token.apiDomain ?? grant?.apiDomain ?? undefined;
  const orgId = grant?.metadata['org_id'];
  return {
    [`${prefix}_ACCESS_TOKEN`]: token.accessToken,
    [`${prefix}_EXPIRES_AT`]: token.expiresAt.toISOString(),
    ...(apiDomain === undefined ? {} : { [`${prefix}_API_DOMAIN`]: apiDomain }),
    ...(grant?.dc === null || grant === null ? {} : { [`${prefix}_DC`]: grant.dc }),
    ...(typeof orgId === 'string' || typeof orgId === 'number' ? { [`${prefix}_ORG_ID`]: String(orgId) } : {}),
  };
}

const forwarded = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const;

/** Runs the program and returns its exit code; 128 and the signal's number when a signal ended it. */
function runChild(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env: environment });
    const pass = (signal: NodeJS.Signals): void => {
      // A terminal sends Ctrl-C and Ctrl-\ to the program itself: it must not get them twice.
      const fromTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT');
      if (!fromTerminal) child.kill(signal);
    };
    const release = ownSignals(() => {});
    for (const signal of forwarded) process.on(signal, pass);
    const done = (): void => {
      for (const signal of forwarded) process.off(signal, pass);
      release();
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      done();
      const code = error.code === 'ENOENT' ? 127 : error.code === 'EACCES' ? 126 : null;
      if (code === null) return reject(error);
      process.stderr.write(
        `grantry: the program cannot be run: ${code === 127 ? 'it is not found' : 'it is not executable'}.\n`,
      );
      return resolve(code);
    });
    child.once('exit', (code, signal) => {
      done();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
