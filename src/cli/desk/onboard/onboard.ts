import { type CheckedKey, checkKey, checkProviderId, commandFor, defaultAccount } from '../../../base/ids.ts';
import type { ProviderDefinition } from '../../../providers/definition.ts';
import { isUsual, resolveEnvironment } from '../../../providers/environment.ts';
import { actionAsCommand } from '../../../schemas/actions.ts';
import type { App, Grant, Vault } from '../../../vault/types.ts';
import { authorize, checkOptions, readCode, redeem } from '../../commands/connect.ts';
import { type Context, makeContextVault } from '../../context.ts';
import { definitionFor } from '../../import/importer.ts';
import { actedTenant } from '../../tenant-guard.ts';
import { exitCodeOf, usageError } from '../../terminal/errors.ts';
import { environmentText } from '../../terminal/present.ts';
import { withProgress } from '../../terminal/progress.ts';
import { clientApp } from './client-app.ts';
import { type OnboardOptions, usualProvider } from './options.ts';
import { checkOrganization } from './organization.ts';
import { Steps } from './steps.ts';

/** Brings a client from nothing to a healthy grant. Every step looks first at what is there. */
export async function onboard(context: Context, given: string, options: OnboardOptions): Promise<void> {
  checkTogether(options);
  const tenant = actedTenant(context, given, { anyway: options.anyway, changes: true });
  const key = checkKey({ tenant, provider: checkProviderId(options.provider), account: options.account });
  const steps = new Steps(context.output);
  await using vault = await makeContextVault(context);
  try {
    const definition = await definitionFor(vault, key.provider);
    const before = await vault.grants.get(key);
    const app = await clientApp(context, vault, { key, definition }, { options, steps });
    await connectOnce(context, vault, { key, app, before, definition }, { options, steps });
    await withProgress(context.world, 'Asking for the organisation', () =>
      checkOrganization(vault, key, { expected: options.expectOrg, steps }),
    );
    await proveHealth(context, vault, key, steps);
  } catch (error) {
    steps.tellStop(onboardCommand(key));
    throw error;
  }
  report(context, key, steps);
}

/** The command that goes on with the same grant: without its options another one would be meant. */
export function onboardCommand({ tenant, provider, account }: CheckedKey): string {
  const at = provider === usualProvider ? '' : ` --provider ${provider}`;
  return `grantry onboard ${tenant}${at}${account === defaultAccount ? '' : ` --account ${account}`}`;
}

function checkTogether(options: OnboardOptions): void {
  const { code, dc: _dc, scope: _scope, ...others } = options;
  // The data centre and the scopes are also those of a new app.
  checkOptions(code === undefined ? others : { ...others, code });
  if (code !== undefined && options.clientSecretFile?.some((file) => file === '-' || file.endsWith('=-')) === true) {
    throw usageError(
      '--code - and --client-secret-file - both read standard input.',
      'Put the client secret into a file.',
    );
  }
}

/** Connects unless a grant is there that lives. */
async function connectOnce(
  context: Context,
  vault: Vault,
  { key, app, before, definition }: { key: CheckedKey; app: App; before: Grant | null; definition: ProviderDefinition },
  { options, steps }: { options: OnboardOptions; steps: Steps },
): Promise<void> {
  if (before !== null && before.state !== 'disconnected' && before.state !== 'reauthorization_required') {
    assertEnvironment(before, definition, options.environment);
    assertNoCode(before, options.code);
    return steps.tell('connect', 'kept', placeText(before));
  }
  // The app has the data centre and the scopes: those that were given are the same, or are its own now.
  const { scope: _scope, dc: _dc, ...rest } = options;
  const connect = { ...rest, app: app.name };
  const code = options.code === undefined ? null : await readCode();
  const grant =
    code === null
      ? await authorize(context, vault, key, connect)
      : await redeem(context, vault, key, { ...options, app: app.name, code });
  steps.tell('connect', 'done', placeText(grant));
}

/** A consent is for one environment, so a grant that is there cannot be moved to another. */
function assertEnvironment(grant: Grant, definition: ProviderDefinition, given: string | undefined): void {
  if (given === undefined) return;
  const { tenant, provider, metadata } = grant;
  const wanted = resolveEnvironment(definition, given);
  const { environment: stored } = metadata;
  const isNamed = typeof stored === 'string' && stored !== '';
  if (isNamed ? resolveEnvironment(definition, stored) === wanted : isUsual(definition, wanted)) return;
  throw usageError(
    `${tenant} is connected to ${provider} already, and not to the environment ${wanted}. The grant stays as it is.`,
    `Give the ${wanted} a tenant of its own, such as ${tenant}-${wanted}, or connect again: ${commandFor('connect', grant, ` --environment ${wanted}`)}`,
  );
}

/** A code replaces the grant that is there, which an onboarding never does. */
function assertNoCode(grant: Grant, code: string | undefined): void {
  if (code === undefined) return;
  throw usageError(
    `${grant.tenant} is connected to ${grant.provider} already, so the code was not used. The grant stays as it is.`,
    `Leave --code out to go on; or replace the grant: ${commandFor('connect', grant, ' --code -')}`,
  );
}

function placeText(grant: Grant): string {
  const environment = environmentText(grant);
  const where = [grant.dc === null ? '' : `data centre ${grant.dc}`, environment === '-' ? '' : environment];
  return [`${grant.tenant} to ${grant.provider}`, `account ${grant.account}`, ...where.filter(Boolean)].join(', ');
}

async function proveHealth(context: Context, vault: Vault, key: CheckedKey, steps: Steps): Promise<void> {
  const health = await withProgress(context.world, 'Checking the grant', () => vault.health(key));
  if (health.status === 'healthy') {
    // The organisation's step has said the same with its advice.
    if (health.warning !== undefined && steps.left.length === 0) steps.leave(health.warning);
    return steps.tell('health', 'done', 'healthy: the API accepts the token');
  }
  steps.leave(actionAsCommand(health.action));
  steps.tell('health', 'open', `${health.error}: ${health.message}`);
  process.exitCode = exitCodeOf([health.error]);
}

function report({ output }: Context, key: CheckedKey, steps: Steps): void {
  if (output.json) return output.printJson({ ...key, steps: steps.toJson(), left: steps.left });
  for (const words of steps.left) output.note(`Left to do: ${words}`);
  if (steps.left.length === 0) output.note(`${key.tenant} is ready: grantry use ${key.tenant}`);
}
