import { GrantryError, invalidRequest, isVaultDown } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { checkObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { listGrantPage } from '../grant/grants.ts';
import { stopping } from '../grant/refusals.ts';
import { refreshGrant } from '../refresh/refresh.ts';
import { replaySpool } from '../refresh/replay.ts';
import type { AdoptReport, Grant } from '../types.ts';

/**
 * Ends the quarantine of a restored or cloned database. From then on this database refreshes, and every older copy is
 * quarantined when it is opened with this home.
 *
 * Then it probes grants with a real refresh, starting with tokens that do not rotate: probing those is harmless, and a
 * refusal points to another problem. Rotating tokens are spent only with `afterRestore`: the stored one may already be
 * replaced, and at some providers a replayed token ends the grant.
 *
 * @param options.onReport Called with each grant's outcome.
 * @throws {GrantryError} `invalid_request` when nothing is quarantined, `storage_unavailable`
 */
export async function adoptDatabase(
  context: VaultContext,
  options: { afterRestore?: boolean; onReport?: (report: AdoptReport) => void } = {},
): Promise<readonly AdoptReport[]> {
  checkObject('options', options);
  if (context.guard.reason === null && options.afterRestore !== true) {
    throw invalidRequest('This database is not quarantined.', {
      action: 'No action is needed. To probe every grant anyway, run: grantry adopt --after-restore',
    });
  }
  if (context.guard.reason !== null) {
    // Replay all spooled answers, even old ones: this copy of the database may not know the newest tokens. This must precede
    // the end of the quarantine, after which any process of this database spends the stored tokens.
    await replaySpool(context, { ownToo: true, oldToo: true });
    await context.guard.adopt();
  }
  const grants = await inProbingOrder(context);
  const reports: AdoptReport[] = [];
  for (const { grant, rotates } of grants) {
    if (context.closing()) throw stopping(context);
    const report = rotates && options.afterRestore !== true ? untouched(grant) : await probe(context, grant);
    reports.push(report);
    options.onReport?.(report);
  }
  return reports;
}

async function inProbingOrder(context: VaultContext): Promise<{ grant: Grant; rotates: boolean }[]> {
  const grants: { grant: Grant; rotates: boolean }[] = [];
  let cursor: string | undefined;
  do {
    const page = await listGrantPage(context, { cursor, limit: limits.pageItemsMax });
    for (const grant of page.items) {
      if (grant.state === 'disconnected' || grant.state === 'reauthorization_required') continue;
      const definition = await context.providers.get(grant.provider);
      grants.push({ grant, rotates: definition === null || definition.refreshToken.rotation !== 'none' });
    }
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return grants.sort((one, other) => Number(one.rotates) - Number(other.rotates));
}

function untouched(grant: Grant): AdoptReport {
  const { tenant, provider, account } = grant;
  return { tenant, provider, account, outcome: 'not_probed' };
}

async function probe(context: VaultContext, grant: Grant): Promise<AdoptReport> {
  const { tenant, provider, account } = grant;
  const key = { tenant, provider, account };
  try {
    await refreshGrant(context, key, grant.generation);
    return { ...key, outcome: 'refreshed' };
  } catch (error) {
    if (!(error instanceof GrantryError)) throw error;
    if (isVaultDown(error)) throw error;
    return { ...key, outcome: 'failed', error: error.code };
  }
}
