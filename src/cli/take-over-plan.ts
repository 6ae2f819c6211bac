import { toJson } from '../schemas/json.ts';
import type { TakeOverPlan } from '../vault/take-over/plan.ts';
import { type Context, databaseExists, vaultOptions } from './context.ts';
import { counted, minute } from './terminal/present.ts';
import { withProgress } from './terminal/progress.ts';
import { keyColumns, printTable } from './terminal/table.ts';

const oldWriters =
  'Stop the programs that write to the table first: their upserts on (client_id, provider) fail after the take-over.';

/** Lists what `grantry init` would take over, and changes nothing. The exit code is 2 when it would be refused. */
export async function printPlan(context: Context): Promise<void> {
  const plan = await withProgress(context.world, 'Reading the table', () => planOf(context));
  if (plan.refusals.length > 0) process.exitCode = 2;
  const rows = plan.rows.map(({ tenant, provider, account, dc, app, ...rest }) =>
    toJson({ tenant, provider, account, dc, app, ...rest }),
  );
  if (context.output.json) return context.output.printJson({ ...toJson(plan), rows });
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
  printTable(output, plan.rows, {
    ...keyColumns,
    DC: ({ dc }) => dc ?? '-',
    APP: ({ app }) => app ?? '-',
    STATE: ({ state }) => state,
    'TOKEN EXPIRES': ({ expiresAt }) => minute(expiresAt),
    REMARKS: ({ problems }) => problems.join('; '),
  });
}

function printNotes({ output }: Context, plan: TakeOverPlan): void {
  for (const refusal of plan.refusals) output.note(`The table cannot be taken over: ${refusal}.`);
  for (const part of plan.dropped) output.note(`Will be dropped: ${part.kind} ${part.name}`);
  for (const column of plan.unsealedColumns)
    output.note(`Stays unsealed, although its name looks like a secret: column ${column}`);
  if (plan.table !== 'foreign' && plan.table !== 'unfinished') return;
  output.note(`${counted(plan.rows.length, 'row')} would be taken over. ${oldWriters}`);
}
