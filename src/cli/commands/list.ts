import type { Command } from 'commander';
import { checkProviderId } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { toJson } from '../../schemas/json.ts';
import { grantStates } from '../../schemas/words.ts';
import type { Grant, GrantFilter, Vault } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { assertProvider } from '../known-providers.ts';
import { epilogue } from '../options.ts';
import { organizationText, sharedAdvice, sharedOrganizations, unreachedOrganizations } from '../organizations.ts';
import { noteQuarantine } from '../quarantine.ts';
import { usageError } from '../terminal/errors.ts';
import { environmentText, isElsewhere, minute, stateText } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';
import { noteSlots } from '../terminal/slots.ts';
import { keyColumns, printTable } from '../terminal/table.ts';

/** Apps whose places at the provider a list looks at; doctor looks at all. */
const appsToldMax = 20;

interface ListOptions {
  tenant?: string;
  provider?: string;
  state?: string;
}

export function define(command: Command): void {
  command
    .description('Lists grants without their tokens.')
    .option('--tenant <tenant>', 'only grants of this tenant; . is the current one')
    .option('--provider <provider>', 'only grants at this provider')
    .option('--state <state>', `only grants in this state: ${grantStates.join(', ')}`)
    .addHelpText('after', epilogue('Examples:\n  grantry list\n  grantry list --state reauthorization_required --json'))
    .action(async (options: ListOptions) => list(contextOf(command), options));
}

async function list(context: Context, options: ListOptions): Promise<void> {
  const filter: GrantFilter = {
    tenant: options.tenant === undefined ? undefined : await resolveTenant(context, options.tenant),
    provider: options.provider === undefined ? undefined : checkProviderId(options.provider),
    state: options.state === undefined ? undefined : checkState(options.state),
  };
  await using vault = await openContextVault(context);
  noteQuarantine(context.output, vault);
  const grants = await withProgress(context.world, 'Reading the grants', () => allGrants(vault, filter));
  if (grants.length === 0 && filter.provider !== undefined) await assertProvider(vault, filter.provider);
  if (context.output.json) return context.output.printJson(grants.map((each) => toJson(each)));
  const apps = new Set(grants.flatMap(({ app, state }) => (app === null || state === 'disconnected' ? [] : app)));
  await noteSlots(context.output, vault, [...apps].slice(0, appsToldMax));
  if (grants.length === 0) {
    const isFiltered = Object.values(filter).some((part) => part !== undefined);
    const none = 'There are no grants yet. Make one: grantry connect TENANT PROVIDER';
    return context.output.note(isFiltered ? 'No grant matches.' : none);
  }
  printTable(context.output, grants, {
    ...keyColumns,
    STATE: stateText,
    DC: ({ dc }) => dc ?? '-',
    // A column for all, or for none: most customers are in production, and most providers tell no organisation.
    ...(grants.some((grant) => isElsewhere(grant)) ? { ENVIRONMENT: environmentText } : {}),
    APP: ({ app }) => app ?? '-',
    ...(grants.some((grant) => organizationText(grant) !== '-') ? { ORGANISATION: organizationText } : {}),
    GENERATION: ({ generation }) => String(generation),
    'TOKEN EXPIRES': ({ expiresAt }) => minute(expiresAt),
  });
  for (const line of unreachedOrganizations(grants)) context.output.note(`Warning: ${line}`);
  const shared = await sharedOrganizations(vault, grants);
  for (const line of shared) context.output.note(`Warning: ${line}.`);
  if (shared.length > 0) context.output.note(sharedAdvice);
}

/** Reads every grant that matches the filter, page by page. */
export async function allGrants(vault: Vault, filter: GrantFilter): Promise<readonly Grant[]> {
  const grants: Grant[] = [];
  let cursor: string | undefined;
  do {
    const page = await vault.grants.list({ ...filter, cursor, limit: limits.pageItemsMax });
    grants.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return grants;
}

function checkState(value: string): Grant['state'] {
  const state = grantStates.find((candidate) => candidate === value);
  if (state !== undefined) return state;
  throw usageError(`--state must be one of ${grantStates.join(', ')}.`);
}
