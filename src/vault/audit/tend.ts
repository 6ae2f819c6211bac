import type { VaultContext } from '../context.ts';
import { sequenceEntries } from './sequence.ts';

/** Gives the waiting entries of the log their places. */
export async function tendLog(context: VaultContext): Promise<void> {
  await sequenceEntries(context);
}
