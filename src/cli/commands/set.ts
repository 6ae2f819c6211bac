import type { Command } from 'commander';
import { checkKey } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { readMembers } from '../metadata-members.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';

interface SetOptions {
  account?: string;
  anyway?: boolean;
}

export function define(command: Command): void {
  command
    .description('Sets members of the metadata of a grant, such as org_id or environment. NAME= removes a member.')
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .argument('<name=value...>', 'the members to set; NAME= removes one')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option(...anywayOption)
    .addHelpText(
      'after',
      '\nExamples:\n  grantry set acme zoho_crm org_id=20071234567\n  grantry set acme zoho_crm environment=',
    )
    .action(async (tenant: string, provider: string, members: string[], options: SetOptions) =>
      set(contextOf(command), { tenant, provider, ...options }, members),
    );
}

async function set(
  context: Context,
  { anyway, ...given }: SetOptions & { tenant: string; provider: string },
  members: readonly string[],
): Promise<void> {
  const changes = readMembers(members);
  const tenant = actedTenant(context, given.tenant, { anyway, changes: true });
  await using vault = await openContextVault(context);
  const grant = await vault.updateMetadata(checkKey({ ...given, tenant }), changes);
  if (context.output.json) return context.output.printJson(toJson(grant));
  const names = Object.keys(changes).join(', ');
  context.output.print(`Changed ${names} of ${grant.tenant} at ${grant.provider} (account ${grant.account}).`);
}
