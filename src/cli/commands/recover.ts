import type { Command } from 'commander';
import { checkKey, commandFor, type GrantKey } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import type { RecoverReport, Vault } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { epilogue } from '../options.ts';
import { noteQuarantine } from '../quarantine.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { exitCodeOf, toGrantryError, usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { keyColumns, printTable } from '../terminal/table.ts';
import { allGrants } from './list.ts';

interface RecoverOptions {
  account?: string;
  anyway?: boolean;
}

export function define(command: Command): void {
  command
    .description('Retries grants that need re-authorization, with every token that was kept: one grant, or all.')
    .argument('[tenant]', 'the tenant, or . for the current one')
    .argument('[provider]', 'the provider, such as zoho_crm')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`The tokens of such a grant are kept for 30 days (GRANTRY_CONDEMNED_KEPT_DAYS). A retry helps after an incident at the provider. It does not help when the tenant revoked the grant: the tenant must connect again.

The exit code is 4 if a grant stays refused.

Examples:
  grantry recover acme zoho_crm
  grantry recover --json`),
    )
    .action(async (tenant: string | undefined, provider: string | undefined, options: RecoverOptions) =>
      recover(contextOf(command), tenant, provider, options),
    );
}

async function recover(
  context: Context,
  given: string | undefined,
  provider: string | undefined,
  { account, anyway }: RecoverOptions,
): Promise<void> {
  if (given !== undefined && provider === undefined)
    throw usageError(
      'The provider is missing.',
      'Name both: grantry recover TENANT PROVIDER; or neither, for all grants.',
    );
  if (given === undefined && account !== undefined)
    throw usageError(
      '--account needs a tenant and a provider.',
      'Name both: grantry recover TENANT PROVIDER --account NAME',
    );
  const tenant = given === undefined ? undefined : actedTenant(context, given, { anyway, changes: true });
  const key = tenant === undefined || provider === undefined ? null : checkKey({ tenant, provider, account });
  await using vault = await openContextVault(context);
  noteQuarantine(context.output, vault);
  const keys = key === null ? await condemnedKeys(vault) : [key];
  const reports: RecoverReport[] = [];
  await withProgress(
    context.world,
    () => `Retrying grants: ${reports.length} of ${keys.length}`,
    async () => {
      for (const each of keys) reports.push(await tryOne(vault, each, key !== null));
    },
  );
  process.exitCode = exitCodeOf(reports.map(codeOf));
  const items = reports.map((each) => toJson(each));
  if (context.output.json) return context.output.printJson(key === null ? items : items[0]);
  if (reports.length === 0) return context.output.note('No grant needs re-authorization.');
  printTable(context.output, reports, {
    ...keyColumns,
    OUTCOME: ({ outcome }) => outcome,
    TRIED: ({ tried }) => String(tried),
    DETAIL: detailOf,
  });
}

async function condemnedKeys(vault: Vault): Promise<readonly GrantKey[]> {
  // In a quarantined database every grant has the state quarantined, and none may be retried.
  return allGrants(vault, { state: vault.quarantine === null ? 'reauthorization_required' : 'quarantined' });
}

/** Retries one grant. Among several, a failure does not stop the others. */
async function tryOne(vault: Vault, key: GrantKey, single: boolean): Promise<RecoverReport> {
  try {
    return await vault.recover(key);
  } catch (thrown) {
    const error = toGrantryError(thrown);
    if (single || ['internal', 'grant_quarantined', 'storage_unavailable', 'vault_sealed'].includes(error.code)) {
      throw thrown;
    }
    return { ...checkKey(key), outcome: 'failed', tried: 0, error: error.code };
  }
}

function codeOf(report: RecoverReport): string | null {
  if (report.outcome === 'refused') return 'reauthorization_required';
  if (report.outcome === 'under_way') return 'refresh_uncertain';
  return report.outcome === 'failed' ? (report.error ?? 'internal') : null;
}

/** Says what became of one grant, and what to do about it. */
export function detailOf(report: RecoverReport): string {
  const texts: Readonly<Record<RecoverReport['outcome'], string>> = {
    recovered: 'it has new tokens',
    refused: `every kept token was refused; run ${commandFor('connect', report)}`,
    under_way: 'another process is retrying it; run grantry list in a minute',
    not_needed: 'it is active',
    failed: `${report.error ?? 'internal'}; fix that, then run grantry recover again`,
  };
  return texts[report.outcome];
}
