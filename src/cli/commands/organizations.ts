import type { Command } from 'commander';
import { checkKey, commandFor } from '../../base/ids.ts';
import { toJson, writeKey } from '../../schemas/json.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { epilogue } from '../options.ts';
import { sharedAdvice } from '../organizations.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { withProgress } from '../terminal/progress.ts';
import { printTable } from '../terminal/table.ts';

interface OrganizationsOptions {
  account?: string;
  anyway?: boolean;
}

export function define(command: Command): void {
  command
    .description(
      'Lists the organisations that the user of a grant has at the provider, and marks the one that calls go to. Another one ' +
        'is chosen with grantry set.',
    )
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_books')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue('Examples:\n  grantry organizations acme zoho_books\n  grantry set acme zoho_books org_id=20071234567'),
    )
    .action(async (tenant: string, provider: string, options: OrganizationsOptions) =>
      organizations(contextOf(command), { tenant, provider, ...options }),
    );
}

async function organizations(
  context: Context,
  { anyway, ...given }: OrganizationsOptions & { tenant: string; provider: string },
): Promise<void> {
  const key = checkKey({ ...given, tenant: actedTenant(context, given.tenant, { anyway, changes: false }) });
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
