import type { Command } from 'commander';
import { checkKey } from '../../base/ids.ts';
import type { Disconnected } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { withProgress } from '../terminal/progress.ts';

const outcomes: Readonly<Record<Disconnected['revocation'], string>> = {
  revoked: 'the provider has revoked it',
  queued: 'the provider did not answer; the revocation is tried again later',
  not_supported: 'this provider has no revocation: the customer can remove the access there',
  nothing: 'there was nothing to revoke at the provider',
  skipped: 'it was not revoked at the provider, as asked',
};

export function define(command: Command): void {
  command
    .description('Ends a grant: local use stops at once, the provider revokes it, then the tokens are shredded.')
    .argument('<tenant>', 'the customer, or . for the current tenant')
    .argument('<provider>', 'such as zoho_crm')
    .option('--account <name>', "which of the tenant's accounts at this provider")
    .option('--no-revoke', 'leave it alive at the provider, where another program may hold the same tokens')
    .addHelpText('after', '\nExample:\n  grantry disconnect acme zoho_crm')
    .action(async (tenant: string, provider: string, options: { account?: string; revoke: boolean }) =>
      disconnect(contextOf(command), tenant, provider, options),
    );
}

async function disconnect(
  context: Context,
  given: string,
  provider: string,
  options: { account?: string; revoke: boolean },
): Promise<void> {
  const key = checkKey({
    tenant: await resolveTenant(context, given, { changes: true }),
    provider,
    account: options.account,
  });
  await using vault = await openContextVault(context);
  const { revocation } = await withProgress(context.world, 'Revoking at the provider', () =>
    vault.disconnect(key, { revoke: options.revoke }),
  );
  if (context.output.json) context.output.printJson({ ...key, state: 'disconnected', revocation });
  else
    context.output.print(
      `Disconnected ${key.tenant} from ${key.provider} (account ${key.account}): ${outcomes[revocation]}.`,
    );
}
