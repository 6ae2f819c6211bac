import type { Command } from 'commander';
import { type CheckedKey, checkKey } from '../../base/ids.ts';
import { writeKey } from '../../schemas/json.ts';
import type { Disconnected } from '../../vault/disconnected.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { epilogue } from '../options.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { withProgress } from '../terminal/progress.ts';

interface DisconnectOptions {
  account?: string;
  revoke: boolean;
  anyway?: boolean;
}

const outcomes: Readonly<Record<Exclude<Disconnected['revocation'], 'shared'>, string>> = {
  revoked: 'the provider has revoked it',
  queued: 'the provider did not answer, and grantry serve or the next use of the vault tries again',
  not_supported: 'this provider has no revocation; the tenant can remove the access there',
  nothing: 'it had no token to revoke',
  skipped: 'it was not revoked at the provider (--no-revoke)',
};

export function define(command: Command): void {
  command
    .description('Ends a grant: stops its use here at once, revokes it at the provider, and destroys its tokens.')
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option('--no-revoke', 'do not revoke the grant: another program uses the same tokens')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(
        'A token is not revoked while another grant holds it: the answer names that grant.\n\nExample:\n  grantry disconnect acme zoho_crm',
      ),
    )
    .action(async (tenant: string, provider: string, options: DisconnectOptions) =>
      disconnect(contextOf(command), tenant, provider, options),
    );
}

async function disconnect(
  context: Context,
  given: string,
  provider: string,
  options: DisconnectOptions,
): Promise<void> {
  const tenant = actedTenant(context, given, { anyway: options.anyway, changes: true });
  const key = checkKey({ tenant, provider, account: options.account });
  await using vault = await openContextVault(context);
  const ended = await withProgress(context.world, 'Revoking at the provider', () =>
    vault.disconnect(key, { revoke: options.revoke }),
  );
  if (context.output.json) context.output.printJson(asJson(key, ended));
  else
    context.output.print(
      `Disconnected ${key.tenant} from ${key.provider} (account ${key.account}): ${outcomeOf(ended)}.`,
    );
}

function asJson(key: CheckedKey, { revocation, sharedWith }: Disconnected): object {
  const shared = sharedWith === undefined ? {} : { shared_with: sharedWith.map(writeKey) };
  return { ...key, state: 'disconnected', revocation, ...shared };
}

function outcomeOf({ revocation, sharedWith = [] }: Disconnected): string {
  if (revocation !== 'shared') return outcomes[revocation];
  const names = sharedWith.length === 0 ? 'another grant' : sharedWith.map(writeKey).join(', ');
  return `it was not revoked at the provider, because that would also end ${names}`;
}
