import type { Command } from 'commander';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import type { Grant, HealthReport, Vault } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { printReport, whatToDo } from '../desk/health/report.ts';
import { epilogue } from '../options.ts';
import { noteQuarantine } from '../quarantine.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { exitCodeOf, toGrantryError, usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { keyColumns, printTable } from '../terminal/table.ts';
import { allGrants } from './list.ts';

interface HealthOptions {
  account?: string;
  refresh?: boolean;
  anyway?: boolean;
}

/** Quick with hundreds of grants, and within the limits of every provider. */
const checksAtOnce = 8;

export function define(command: Command): void {
  command
    .description(
      'Checks grants with a real call to the provider: one grant, all of a tenant, or all. For several, it is a report: it ' +
        'also says since when each state lasts, and what changed since the last report.',
    )
    .argument('[tenant]', 'the tenant, or . for the current one')
    .argument('[provider]', 'the provider, such as zoho_crm')
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option('--refresh', 'refresh each grant first, as far as the limits of the provider allow')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`The exit code is 4 if a grant needs re-authorization.

Examples:
  grantry health acme zoho_crm
  grantry health acme zoho_crm --refresh
  grantry health --json`),
    )
    .action(async (tenant: string | undefined, provider: string | undefined, options: HealthOptions) =>
      health(contextOf(command), tenant, provider, options),
    );
}

async function health(
  context: Context,
  given: string | undefined,
  provider: string | undefined,
  { account, refresh, anyway }: HealthOptions,
): Promise<void> {
  const tenant = given === undefined ? undefined : actedTenant(context, given, { anyway, changes: false });
  if (account !== undefined && provider === undefined) throw usageError('--account needs a tenant and a provider.');
  const key = tenant === undefined || provider === undefined ? null : checkKey({ tenant, provider, account });
  await using vault = await openContextVault(context);
  noteQuarantine(context.output, vault);
  const keys: readonly GrantKey[] = key === null ? await liveGrants(vault, tenant) : [key];
  let done = 0;
  const reports = await withProgress(
    context.world,
    () => `Checking grants: ${done} of ${keys.length}`,
    () =>
      checkAll(
        keys,
        () => (done += 1),
        (each) => check(vault, each, { single: key !== null, refresh }),
      ),
  );
  process.exitCode = exitCodeOf(reports.map((report) => (report.status === 'healthy' ? null : report.error)));
  if (key === null) {
    // A check may keep the organisation, so the grants are read afterwards.
    const grants = await liveGrants(vault, tenant);
    return printReport(context, { reports, grants, isWhole: tenant === undefined });
  }
  if (context.output.json) return context.output.printJson(reports.map((each) => toJson(each))[0]);
  printTable(context.output, reports, {
    ...keyColumns,
    STATUS: ({ status }) => status,
    DC: ({ dc }) => dc ?? '-',
    DETAIL: healthDetail,
  });
}

async function liveGrants(vault: Vault, tenant: string | undefined): Promise<readonly Grant[]> {
  const grants = await allGrants(vault, { tenant });
  return grants.filter((grant) => grant.state !== 'disconnected');
}

async function checkAll(
  keys: readonly GrantKey[],
  count: () => void,
  checkOne: (key: GrantKey) => Promise<HealthReport>,
): Promise<readonly HealthReport[]> {
  const reports: HealthReport[] = [];
  const rest = keys.entries();
  const worker = async (): Promise<void> => {
    for (const [index, key] of rest) {
      reports[index] = await checkOne(key);
      count();
    }
  };
  await Promise.all(Array.from({ length: Math.min(checksAtOnce, keys.length) }, worker));
  return reports;
}

/** Checks one grant. Among several, a failure is reported and does not end the command. */
async function check(
  vault: Vault,
  key: GrantKey,
  { single, refresh }: { single: boolean; refresh: boolean | undefined },
): Promise<HealthReport> {
  try {
    return await vault.health(key, { refresh });
  } catch (thrown) {
    const error = toGrantryError(thrown);
    if (single || error.code === 'internal') throw thrown;
    return {
      status: 'unhealthy',
      ...checkKey(key),
      dc: null,
      error: error.code,
      message: error.message,
      action: error.action,
      actionRequired: !error.retryable,
    };
  }
}

/** The organisation of a healthy grant; else the error and what to do. */
export function healthDetail(report: HealthReport): string {
  if (report.status === 'unhealthy') return `${report.error}: ${whatToDo(report)}`;
  if (report.warning !== undefined) return `${report.orgName ?? '-'}: ${report.warning}`;
  return report.orgName ?? whatToDo(report);
}
