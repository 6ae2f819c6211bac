import type { VaultContext } from '../../vault/context.ts';
import { checkRows } from '../../vault/guard/check-rows.ts';
import { type Finding, fail, ok } from './finding.ts';

/** The report names so many rows; the log of a server names more. */
const namedMax = 20;

/** Checks the MAC of every row that has one, and names those that were altered. */
export async function rowsFinding(context: VaultContext): Promise<Finding> {
  const { checked, altered } = await checkRows(context);
  if (altered.length === 0) return ok('rows', `unaltered, as far as they decide where tokens go: ${checked}`);
  const more = altered.length > namedMax ? `, and ${altered.length - namedMax} more` : '';
  return fail(
    'rows',
    `${altered.length} of ${checked} rows were altered outside of Grantry: ${altered.slice(0, namedMax).join(', ')}${more}`,
    'They are not used. Find out who can write to the database, then make these rows again or remove them.',
    'integrity_failed',
  );
}
