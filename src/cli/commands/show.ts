import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, commandFor } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import type { Grant, TokenBudget, Vault } from '../../vault/types.ts';
import { unknownProvider } from '../../vault/unknown-provider.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { knownProviders } from '../known-providers.ts';
import { epilogue } from '../options.ts';
import { organizationText } from '../organizations.ts';
import { noteQuarantine } from '../quarantine.ts';
import { minute, stateText } from '../terminal/present.ts';
import { printFields, printTable } from '../terminal/table.ts';
import { allGrants } from './list.ts';

export function define(command: Command): void {
  command
    .description('Shows one grant without its tokens.')
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option('--history', 'its life instead: changes, refreshes and hand-outs, the newest first')
    .addHelpText('after', epilogue('Examples:\n  grantry show acme zoho_crm\n  grantry show acme zoho_crm --history'))
    .action(async (tenant: string, provider: string, options: { account?: string; history?: boolean }) => {
      if (options.history === true) await showHistory(contextOf(command), tenant, provider, options.account);
      else await show(contextOf(command), tenant, provider, options.account);
    });
}

async function show(context: Context, given: string, provider: string, account: string | undefined): Promise<void> {
  const key = checkKey({ tenant: await resolveTenant(context, given), provider, account });
  await using vault = await openContextVault(context);
  noteQuarantine(context.output, vault);
  const grant = await vault.grants.get(key);
  if (grant === null) throw await noGrant(vault, key);
  if (context.output.json) return context.output.printJson(toJson(grant));
  // A disconnected grant has no token.
  const budget = grant.state === 'disconnected' ? null : await vault.budget(key);
  printFields(context.output, [
    ['tenant', grant.tenant],
    ['provider', grant.provider],
    ['account', grant.account],
    ['app', grant.app ?? '-'],
    ['state', stateText(grant)],
    ['generation', String(grant.generation)],
    ['scopes', grant.scopes.join(' ') || '-'],
    ...(grant.scopesMissing.length === 0 ? [] : ([['not granted', grant.scopesMissing.join(' ')]] as const)),
    ...(grant.scopesAssumed.length === 0 ? [] : ([['not confirmed', grant.scopesAssumed.join(' ')]] as const)),
    ['data centre', grant.dc ?? '-'],
    ['environment', metadataText(grant.metadata['environment'] ?? '-')],
    ['API domain', grant.apiDomain ?? '-'],
    ['organisation', organizationText(grant)],
    ['consent of', ownerText(grant)],
    ['token expires', minute(grant.expiresAt)],
    ['last refreshed', minute(grant.lastRefreshedAt)],
    ...(budget === null ? [] : [['token budget', budgetText(budget)] as const]),
    ['connected', minute(grant.createdAt)],
    ['updated', minute(grant.updatedAt)],
    ...(grant.calls ?? []).map(
      ({ call, count, refused, last_at }) =>
        [
          'call',
          `${call}  ${count}×, last ${last_at.slice(0, 10)}${refused > 0 ? `, ${refused} lacked a scope` : ''}`,
        ] as const,
    ),
    ...Object.entries(grant.metadata).map(([name, value]) => [`metadata.${name}`, metadataText(value)] as const),
  ]);
}

/** Lines of a life that one screen or two can hold. */
const linesShown = 100;

async function showHistory(
  context: Context,
  given: string,
  provider: string,
  account: string | undefined,
): Promise<void> {
  const key = checkKey({ tenant: await resolveTenant(context, given), provider, account });
  await using vault = await openContextVault(context);
  const { items, next } = await vault.history(key, { limit: linesShown });
  if (context.output.json) return context.output.printJson(items.map((item) => toJson(item)));
  if (items.length === 0 && (await vault.grants.get(key)) === null) throw await noGrant(vault, key);
  printTable(context.output, items, {
    TIME: ({ at }) => at.toISOString().slice(0, 19).replace('T', ' '),
    GEN: ({ generation }) => (generation === null ? '-' : String(generation)),
    WHAT: ({ action, count }) => (count === null || count === 1 ? action : `${action} ×${count}`),
    OUTCOME: ({ outcome, reason, tookMs }) =>
      [outcome, reason, tookMs === null ? null : `${tookMs} ms`].filter((word) => word !== null).join(' '),
    WHO: ({ actor }) => (actor === null ? '-' : `${actor.kind} ${actor.name ?? actor.id}`),
    FROM: ({ source }) => source ?? '-',
  });
  if (next !== null)
    context.output.note(`Older lines: grantry audit list --tenant ${key.tenant} --provider ${provider}`);
}

function budgetText({ used, requests, windowSeconds, nextAt }: TokenBudget): string {
  const next = nextAt === null ? '' : `, next at ${nextAt.toISOString().slice(11, 19)}Z`;
  return `${used} of ${requests} in ${windowSeconds} s used${next}`;
}

/** The user who gave the consent, as far as the provider has told it. */
function ownerText({ metadata }: Grant): string {
  const { user_name: name, user_id: id } = metadata;
  const [known] = [name, id].filter((value) => typeof value === 'string');
  if (known === undefined) return '-';
  return typeof name === 'string' && typeof id === 'string' ? `${name} (${id})` : known;
}

function metadataText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Names the nearest provider, or the tenant's other grants: one of them may be meant. */
export async function noGrant(vault: Vault, { tenant, provider, account }: CheckedKey): Promise<GrantryError> {
  const known = await knownProviders(vault);
  if (known.length > 0 && !known.includes(provider)) {
    const { message, action, reason } = unknownProvider(provider, known);
    // As the server answers: there is no such grant in any case.
    return new GrantryError('grant_not_found', message, { action, reason });
  }
  const others = (await allGrants(vault, { tenant })).filter(({ state }) => state !== 'disconnected');
  const has =
    others.length === 0 ? '' : ` It has ${others.map((one) => `${one.provider} (account ${one.account})`).join(', ')}.`;
  const text = `${tenant} has no grant at ${provider} (account ${account}).${has}`;
  return new GrantryError('grant_not_found', text, {
    action: `Connect the tenant: ${commandFor('connect', { tenant, provider, account })}`,
  });
}
