import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { checkName } from '../../base/ids.ts';
import { type Context, contextOf } from '../context.ts';
import { currentTenant, keepCurrentTenant } from '../current-tenant.ts';

export function define(command: Command): void {
  command
    .description(
      'Chooses the current tenant, which may then be written as a dot. Without a tenant it says which one that is.',
    )
    .argument('[tenant]', 'the customer')
    .addHelpText('after', '\nExample:\n  grantry use acme && grantry token . zoho_crm')
    .action(async (tenant: string | undefined) => use(contextOf(command), tenant));
}

async function use(context: Context, tenant: string | undefined): Promise<void> {
  if (tenant !== undefined) await keepCurrentTenant(context.settings, checkName('tenant', tenant));
  const current = await currentTenant(context.settings);
  if (current === null) {
    throw new GrantryError('not_found', 'There is no current tenant.', { action: 'Choose one: grantry use TENANT.' });
  }
  if (tenant !== undefined && current !== tenant) {
    context.output.note(`GRANTRY_TENANT or --tenant names ${current}, which wins over grantry use.`);
  }
  if (context.output.json) context.output.printJson({ tenant: current });
  else context.output.print(current);
}
