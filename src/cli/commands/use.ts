import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { checkName } from '../../base/ids.ts';
import { type Context, contextOf } from '../context.ts';
import { currentTenant, keepCurrentTenant } from '../current-tenant.ts';
import { epilogue } from '../options.ts';

export function define(command: Command): void {
  command
    .description(
      'Sets the current tenant. A dot stands for it in every command. Without a tenant, prints the current one. The setting is kept in the home; GRANTRY_TENANT wins over it.',
    )
    .argument('[tenant]', 'the tenant')
    .addHelpText('after', epilogue('Example:\n  grantry use acme && grantry token . zoho_crm'))
    .action(async (tenant: string | undefined) => use(contextOf(command), tenant));
}

async function use(context: Context, tenant: string | undefined): Promise<void> {
  if (tenant !== undefined) await keepCurrentTenant(context.settings, checkName('tenant', tenant));
  const current = await currentTenant(context.settings);
  if (current === null) {
    throw new GrantryError('not_found', 'There is no current tenant.', { action: 'Set one: grantry use TENANT' });
  }
  if (tenant !== undefined && current !== tenant) {
    context.output.note(
      `The current tenant stays ${current}: GRANTRY_TENANT or --tenant names it, and wins over grantry use.`,
    );
  }
  if (context.output.json) context.output.printJson({ tenant: current });
  else context.output.print(current);
}
