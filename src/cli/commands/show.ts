import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { checkKey } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { epilogue } from '../options.ts';
import { noteQuarantine } from '../quarantine.ts';
import { minute, stateText } from '../terminal/present.ts';
import { printFields } from '../terminal/table.ts';

export function define(command: Command): void {
  command
    .description('Shows one grant without its tokens.')
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .addHelpText('after', epilogue('Example:\n  grantry show acme zoho_crm'))
    .action(async (tenant: string, provider: string, options: { account?: string }) =>
      show(contextOf(command), tenant, provider, options.account),
    );
}

async function show(context: Context, given: string, provider: string, account: string | undefined): Promise<void> {
  const key = checkKey({ tenant: await resolveTenant(context, given), provider, account });
  await using vault = await openContextVault(context);
  noteQuarantine(context.output, vault);
  const grant = await vault.grants.get(key);
  if (grant === null) {
    const message = `${key.tenant} has no grant at ${key.provider} (account ${key.account}).`;
    const action = `Connect the tenant: grantry connect ${key.tenant} ${key.provider}`;
    throw new GrantryError('grant_not_found', message, { action });
  }
  if (context.output.json) return context.output.printJson(toJson(grant));
  printFields(context.output, [
    ['tenant', grant.tenant],
    ['provider', grant.provider],
    ['account', grant.account],
    ['app', grant.app ?? '-'],
    ['state', stateText(grant)],
    ['generation', String(grant.generation)],
    ['scopes', grant.scopes.join(' ') || '-'],
    ['data centre', grant.dc ?? '-'],
    ['API domain', grant.apiDomain ?? '-'],
    ['token expires', minute(grant.expiresAt)],
    ['last refreshed', minute(grant.lastRefreshedAt)],
    ['connected', minute(grant.createdAt)],
    ['updated', minute(grant.updatedAt)],
    ...Object.entries(grant.metadata).map(([name, value]) => [`metadata.${name}`, metadataText(value)] as const),
  ]);
}

function metadataText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
