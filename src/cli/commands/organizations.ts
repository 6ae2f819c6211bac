import type { Command } from 'commander';
import { checkKey, commandFor } from '../../base/ids.ts';
import { toJson, writeKey } from '../../schemas/json.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { epilogue } from '../options.ts';
import { sharedAdvice } from '../organizations.ts';
import { withProgress } from '../terminal/progress.ts';
import { printTable } from '../terminal/table.ts';

export function define(command: Command): void {
  command
    .description(
      'Lists the organisations that the user of a grant has at the provider, and marks the one that calls go to. Another one ' +
        'is chosen with grantry set.',
    )
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_books')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .addHelpText(
      'after',
      epilogue('Examples:\n  grantry organizations acme zoho_books\n  grantry set acme zoho_books org_id=20071234567'),
    )
    .action(async (tenant: string, provider: string, options: { account?: string }) =>
      organizations(contextOf(command), { tenant, provider, account: options.account }),
    );
}

async function organizations(
  context: Context,
  given: { tenant: string; provider: string; account: string | undefined },
): Promise<void> {
  const key = checkKey({ ...given, tenant: await resolveTenant(context, given.tenant) });
  await using vault = await openContextVault(context);
  const found = await withProgress(context.world, 'Asking the provider', () => vault.organizations(key));
  const { items, sharedWith } = found;
  if (context.output.json) {
    return context.output.printJson({ ...toJson(found), shared_with: sharedWith.map(writeKey) });
  }
  if (items.length === 0) return context.output.note(`${key.provider} names no organisation for this grant.`);
  printTable(context.output, items, {
    ID: ({ id }) => id,
    NAME: ({ name }) => name ?? '-',
    CHOSEN: ({ chosen }) => (chosen ? 'yes' : '-'),
    DEFAULT: (each) => (each.default ? 'yes' : '-'),
  });
  if (!items.some(({ chosen }) => chosen)) {
    context.output.note(`None is chosen. Choose one: ${commandFor('set', key, ' org_id=ID')}`);
  }
  const others = sharedWith.map(({ tenant }) => tenant).join(', ');
  if (others !== '') context.output.note(`Warning: the chosen organisation is also that of ${others}. ${sharedAdvice}`);
}
