import { type Context, databaseExists } from './context.ts';

/** Lists what `grantry init` would take over, and changes nothing. */
export async function printPlan(context: Context): Promise<void> {
  if (!(await databaseExists(context))) {
    context.output.print('There is no database yet: grantry init makes one, and takes nothing over.');
    return;
  }
}
