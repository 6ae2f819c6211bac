import { countOpenAuthorizations } from '../../storage/statements/authorizations.ts';
import { countPendingConnectSessions } from '../../storage/statements/connect-sessions.ts';
import { countGrantsOfTenant } from '../../storage/statements/grants.ts';
import { countRevocationsOfTenant } from '../../storage/statements/revocations.ts';
import { deleteTenantKeys, lockTenantKeys } from '../../storage/statements/tenant-keys.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/**
 * Deletes a tenant's keys when nothing that they sealed is needed any more: whatever copies of its sealed values exist in
 * backups or free pages, they never open again.
 *
 * The keys are locked before the grants are counted, and whoever stores a first grant looks at the keys in the same
 * transaction: a grant is never left behind with keys that are gone.
 */
export async function shredTenantIfEmpty(context: VaultContext, tenant: string): Promise<boolean> {
  const shredded = await changing(context, async ({ tx, recordOther }) => {
    await lockTenantKeys(tx, tenant);
    // First: what waits here becomes a grant or a revocation in one step, and one of the three is seen.
    if ((await countPendingConnectSessions(tx, tenant)) > 0) return false;
    if ((await countGrantsOfTenant(tx, tenant)) > 0) return false;
    if ((await countRevocationsOfTenant(tx, tenant)) > 0) return false;
    if ((await countOpenAuthorizations(tx, tenant)) > 0) return false;
    const isShredded = (await deleteTenantKeys(tx, tenant)) > 0;
    if (isShredded) recordOther({ type: 'tenant.shredded', tenant });
    return isShredded;
  });
  if (shredded) context.keys.forget(tenant);
  return shredded;
}
