import { GrantryError, isGrantryError } from '../../base/errors.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { nameOf } from './refusals.ts';

/** The log names an altered grant once in this time, and at most so many grants. */
const namedOnceInMs = 3_600_000;
const namedMax = 200;

const named = new WeakMap<VaultContext, Map<string, number>>();

/**
 * Runs what opens the tokens of a grant, and names the grant in log and error if they do not open.
 *
 * @throws {GrantryError} `integrity_failed`
 */
export async function naming<T>(context: VaultContext, row: GrantRow, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed') || row.generation === 0) throw error;
    report(context, row);
    const text = `The tokens of ${nameOf(row)} do not open: its row was altered outside of Grantry, or sealed with another key.`;
    throw new GrantryError('integrity_failed', text, {
      action: 'Put the row back as it was, or connect again. Where the database is, grantry doctor names all such rows.',
      cause: error,
    });
  }
}

function report(context: VaultContext, { client_id: tenant, provider, account, id }: GrantRow): void {
  const times = named.get(context) ?? new Map<string, number>();
  named.set(context, times);
  const now = context.world.monotonic();
  for (const [grant, at] of times) if (now - at >= namedOnceInMs) times.delete(grant);
  // A writer of the database can alter any number of rows.
  if (times.has(id) || times.size >= namedMax) return;
  times.set(id, now);
  context.logger.error('the tokens of a grant do not open: its row was altered outside of Grantry', {
    tenant,
    provider,
    account,
    id,
  });
}
