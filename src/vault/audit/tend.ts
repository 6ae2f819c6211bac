import type { VaultContext } from '../context.ts';
import { signIfDue } from './checkpoint.ts';
import { sequenceEntries } from './sequence.ts';

/** Gives the waiting entries of the log their places, and signs the log from time to time. */
export async function tendLog(context: VaultContext): Promise<void> {
  // A promoted standby may lack entries that were signed: it gets another name first.
  if (context.guard.failedOver) return;
  await sequenceEntries(context);
  await signIfDue(context);
}
