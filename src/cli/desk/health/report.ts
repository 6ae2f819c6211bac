import { isGrantryError } from '../../../base/errors.ts';
import { actionAsCommand } from '../../../schemas/actions.ts';
import { toJson, writeKey } from '../../../schemas/json.ts';
import type { Grant, HealthReport } from '../../../vault/types.ts';
import type { Context } from '../../context.ts';
import { organizationText } from '../../organizations.ts';
import { toGrantryError } from '../../terminal/errors.ts';
import { counted, environmentText, minute } from '../../terminal/present.ts';
import { keyColumns, printTable } from '../../terminal/table.ts';
import { type Change, changesOf, keepReport, type ReportOfNow, readLastReport, stateOf } from './trend.ts';

/** The reports on several grants, and the grants as they are stored. */
interface Checked {
  readonly reports: readonly HealthReport[];
  readonly grants: readonly Grant[];
  /** True if all grants of the vault were checked. */
  readonly isWhole: boolean;
}

/** Prints the report on several grants, with what changed since the last one, and keeps it for the next. */
export function printReport(context: Context, checked: Checked): void {
  const { reports, isWhole } = checked;
  const now = new Date(context.world.now());
  const last = readLastReport(context.settings);
  const changes = changesOf(last, reports, now);
  const ofNow: ReportOfNow = { last, reports, changes, now };
  keep(context, ofNow, isWhole);
  const stored = new Map(checked.grants.map((grant) => [writeKey(grant), grant]));
  const rows = reports.map((report, index) => ({ report, grant: stored.get(writeKey(report)), ...changes[index] }));
  if (context.output.json) {
    const items = rows.map(({ report, grant, since, was }) => {
      const environment = grant?.metadata['environment'] ?? null;
      return { ...toJson(report), environment, since: since ?? null, was: was ?? null };
    });
    return context.output.printJson(items);
  }
  if (reports.length === 0) return context.output.note('No grants to check.');
  const named = rows.some(({ grant }) => grant !== undefined && environmentText(grant) !== '-');
  printTable(
    context.output,
    rows.map((row) => ({ ...row, ...keyOf(row.report) })),
    {
      ...keyColumns,
      STATE: ({ report }) => stateOf(report),
      SINCE: ({ since }) => (since === undefined ? '-' : minute(new Date(since))),
      DC: ({ report }) => report.dc ?? '-',
      // Most customers have one environment.
      ...(named ? { ENVIRONMENT: (row: { grant: Grant | undefined }) => textOf(row.grant, environmentText) } : {}),
      ORGANISATION: ({ report, grant }) => organizationOf(report, grant),
      'WHAT TO DO': ({ report }) => whatToDo(report),
    },
  );
  noteTrend(context, ofNow, isWhole);
}

function keyOf({ tenant, provider, account }: HealthReport) {
  return { tenant, provider, account };
}

function textOf(grant: Grant | undefined, read: (grant: Grant) => string): string {
  return grant === undefined ? '-' : read(grant);
}

/** As the provider has just told it, else as it is stored. */
function organizationOf(report: HealthReport, grant: Grant | undefined): string {
  const stored = textOf(grant, organizationText);
  if (report.status === 'unhealthy' || report.orgName === null || stored.startsWith(report.orgName)) return stored;
  return report.orgName;
}

/** Says how a person cures a grant; a dash for nothing to do. */
export function whatToDo(report: HealthReport): string {
  if (report.status === 'unhealthy') return `${report.message} ${actionAsCommand(report.action)}`;
  if (report.warning !== undefined) return report.warning;
  if (report.orgName !== null || report.missingScope === undefined) return '-';
  return `no organisation name: the scope ${report.missingScope} is missing`;
}

/** A report that cannot be kept is still a report. */
function keep(context: Context, ofNow: ReportOfNow, isWhole: boolean): void {
  try {
    keepReport(context.settings, ofNow, isWhole);
  } catch (thrown) {
    const error = toGrantryError(thrown);
    if (!isGrantryError(error) || error.code === 'internal') throw thrown;
    context.output.note(`The report was not kept for comparison with the next one: ${error.message}`);
  }
}

function noteTrend({ output }: Context, { last, reports, changes }: ReportOfNow, isWhole: boolean): void {
  const unhealthy = reports.filter(({ status }) => status === 'unhealthy').length;
  output.note(`${counted(reports.length, 'grant')}, ${unhealthy === 0 ? 'all healthy' : `${unhealthy} unhealthy`}.`);
  if (last === null) return;
  const lines = reports.flatMap((report, index) => changeText(report, changes[index]));
  const now = new Set(reports.map(writeKey));
  const gone = isWhole ? [...last.grants.values()].filter((each) => !now.has(writeKey(each))) : [];
  lines.push(...gone.map(({ tenant, provider }) => `${tenant} at ${provider}: no longer in the report`));
  const at = minute(new Date(last.at));
  if (lines.length === 0) return output.note(`Nothing has changed since the last report (${at}).`);
  output.note(`Since the last report (${at}):`);
  for (const line of lines) output.note(`  ${line}`);
}

function changeText(report: HealthReport, change: Change | undefined): string[] {
  const state = stateOf(report);
  if (change === undefined || change.was === state) return [];
  return [`${report.tenant} at ${report.provider}: ${change.was ?? 'new'} → ${state}`];
}
