import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, defaultAccount } from '../../base/ids.ts';
import { type GrantSummary, listGrants } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { noSuchGrant } from './refusals.ts';

export { noSuchGrant } from './refusals.ts';

/** A tenant's other grants that an error names at most. */
const neighboursMax = 5;

/** A `grant_not_found` that names the tenant's other grants: a caller may have meant one of them. */
export class MissingGrantError extends GrantryError {
  /** The same error for a caller that may not know of the others. It is never printed or logged. */
  declare readonly alone: GrantryError;

  constructor(alone: GrantryError, neighbours: string) {
    const action = `Use one of its grants. ${alone.action}`;
    super(alone.code, `${alone.message} It has ${neighbours}.`, { action });
    Object.defineProperty(this, 'alone', { value: alone, enumerable: false });
  }
}

/**
 * Makes the error for a grant that does not exist. It says that there is no such provider, or names the tenant's other
 * grants, and never another tenant's.
 */
export async function missingGrant(context: VaultContext, key: CheckedKey): Promise<GrantryError> {
  const alone = noSuchGrant(key);
  try {
    // Throws for an unknown provider, and names the nearest one.
    await context.providers.require(key.provider, { orKept: true });
    const rows = await listGrants(context.store.db, { tenant: key.tenant, limit: neighboursMax * 2 });
    const living = rows.filter(({ state }) => state !== 'disconnected').slice(0, neighboursMax);
    return living.length === 0
      ? alone
      : new MissingGrantError(alone, living.map((each) => nameOf(each, key)).join(', '));
  } catch (error) {
    return error instanceof GrantryError && error.reason === 'unknown_provider' ? error : alone;
  }
}

/** Names a grant. The account of a `default` one counts where the caller named another. */
function nameOf({ provider, account }: GrantSummary, key: CheckedKey): string {
  return account === defaultAccount && key.account === defaultAccount
    ? `one at ${provider}`
    : `one at ${provider} (account ${account})`;
}
