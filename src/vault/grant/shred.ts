import { countOpenAuthorizations } from '../../storage/statements/authorizations.ts';
import { countPendingConnectSessions } from '../../storage/statements/connect-sessions.ts';
import { countGrantsOfTenant } from '../../storage/statements/grants.ts';
import { countRevocationsOfTenant } from '../../storage/statements/revocations.ts';
import { deleteTenantKeys, lockTenantKeys } from '../../storage/statements/tenant-keys.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/**
 * Deletes a tenant's keys if no value that they seal is needed any more. Copies of its sealed values in backups or free
 * pages then never open again.
 *
 * The keys are locked before the grants are counted. A process that stores a first grant checks the keys in the same
 * transaction. So no grant is left behind without its keys.
 */
export async function shredTenantIfEmpty(context: VaultContext, tenant: string): Promise<boolean> {
  const shredded = await changing(context, async ({ tx, recordOther }) => {
    await lockTenantKeys(tx, tenant);
    // Sessions first: a session becomes a grant or a revocation in one step, so one of these counts includes it.
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
