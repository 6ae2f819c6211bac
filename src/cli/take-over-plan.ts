import type { TakeOverPlan, TakeOverRow } from '../vault/take-over/plan.ts';
import { type Context, databaseExists, vaultOptions } from './context.ts';
import { counted, minute } from './terminal/present.ts';
import { withProgress } from './terminal/progress.ts';
import { table } from './terminal/table.ts';

const oldWriters =
  'Stop the programs that write to the table first: their upserts on (client_id, provider) fail after the take-over.';

/** Lists what `grantry init` would take over, and changes nothing. The exit code is 2 when it would be refused. */
export async function printPlan(context: Context): Promise<void> {
  const plan = await withProgress(context.world, 'Reading the table', () => planOf(context));
  if (plan.refusals.length > 0) process.exitCode = 2;
  if (context.output.json) {
    context.output.printJson({
      table: plan.table,
      rows: plan.rows.map(rowItem),
      refusals: plan.refusals,
      dropped: plan.dropped,
      unsealed_columns: plan.unsealedColumns,
    });
    return;
  }
  printRows(context, plan);
  printNotes(context, plan);
}

async function planOf(context: Context): Promise<TakeOverPlan> {
  const { planTakeOver } = await import('../vault/take-over/plan.ts');
  if (databaseExists(context)) return planTakeOver(vaultOptions(context));
  return { table: 'absent', rows: [], refusals: [], dropped: [], unsealedColumns: [] };
}

function printRows({ output }: Context, plan: TakeOverPlan): void {
  if (plan.table === 'absent') output.print('There is no oauth_tokens table: grantry init makes a new one.');
  if (plan.table === 'ours')
    output.print('The oauth_tokens table belongs to Grantry already: there is nothing to take over.');
  if (plan.rows.length === 0) return;
  const rows = plan.rows.map((row) => [
    row.tenant,
    row.provider,
    row.account,
    row.dc ?? '-',
    row.app ?? '-',
    row.state,
    minute(row.expiresAt),
    row.problems.join('; '),
  ]);
  const headings = ['TENANT', 'PROVIDER', 'ACCOUNT', 'DC', 'APP', 'STATE', 'TOKEN EXPIRES', 'REMARKS'];
  for (const line of table(headings, rows)) output.print(line);
}

function printNotes({ output }: Context, plan: TakeOverPlan): void {
  for (const refusal of plan.refusals) output.note(`The table cannot be taken over: ${refusal}.`);
  for (const part of plan.dropped) output.note(`Will be dropped: ${part.kind} ${part.name}`);
  for (const column of plan.unsealedColumns)
    output.note(`Stays unsealed, although its name looks like a secret: column ${column}`);
  if (plan.table !== 'foreign' && plan.table !== 'unfinished') return;
  output.note(`${counted(plan.rows.length, 'row')} would be taken over. ${oldWriters}`);
}

function rowItem(row: TakeOverRow): Record<string, unknown> {
  return {
    tenant: row.tenant,
    provider: row.provider,
    account: row.account,
    dc: row.dc,
    app: row.app,
    state: row.state,
    reason: row.reason,
    expires_at: row.expiresAt?.toISOString() ?? null,
    problems: row.problems,
  };
}
