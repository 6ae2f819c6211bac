import type { VaultContext } from '../../vault/context.ts';
import { checkSeals } from '../../vault/upkeep/check-seals.ts';
import { type Finding, fail, ok } from './finding.ts';

/** The report names so many values. */
const namedMax = 20;

/** Opens every sealed value, and names those that another program altered or pointed elsewhere. */
export async function sealsFinding(context: VaultContext): Promise<Finding> {
  const { checked, altered } = await checkSeals(context);
  if (altered.length === 0) return ok('seals', `${checked} sealed values open`);
  const more = altered.length > namedMax ? `, and ${altered.length - namedMax} more` : '';
  return fail(
    'seals',
    `${altered.length} of ${checked} sealed values do not open: ${altered.slice(0, namedMax).join(', ')}${more}`,
    'Nothing is sent for them. Find out who can write to the database, then put the rows back or connect again.',
    'integrity_failed',
  );
}
