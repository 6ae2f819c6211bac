/** Stands in for `node:sqlite` in the storage: the real driver, whose handles can be taken away from a dead process. */
import { DatabaseSync as RealDatabase } from 'node:sqlite';

export type { StatementSync } from 'node:sqlite';

const opened: RealDatabase[] = [];

export class DatabaseSync extends RealDatabase {
  constructor(path: string, options: { timeout?: number; [name: string]: unknown }) {
    // Waiting inside SQLite would stop all processes of the simulation, the one that is waited for among them.
    super(path, { ...options, timeout: 0 });
    opened[0] = this;
  }
}

/** The handle that was opened last. */
export function newestDatabase(): RealDatabase {
  const [newest] = opened;
  if (newest === undefined) throw new Error('no database was opened');
  return newest;
}
