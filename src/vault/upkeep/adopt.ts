import { GrantryError, invalidRequest, isGrantryError, isVaultDown } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { readGrant } from '../../storage/statements/grants.ts';
import { checkObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { listGrantPage } from '../grant/grants.ts';
import { stopping } from '../grant/refusals.ts';
import { refreshGrant } from '../refresh/refresh.ts';
import { replaySpool } from '../refresh/replay.ts';
import type { SpoolHead } from '../spool/spool.ts';
import type { AdoptReport, Grant } from '../types.ts';

/**
 * Ends the quarantine of a restored or cloned database. From then on this database refreshes, and every older copy is
 * quarantined when it is opened with this home.
 *
 * Then it probes grants with a real refresh, starting with tokens that do not rotate: probing those is harmless, and a
 * refusal points to another problem. Rotating tokens are spent only with `afterRestore`: the stored one may already be
 * replaced, and at some providers a replayed token ends the grant.
 *
 * An answer that this database refuses to save holds only its own grant, whose outcome is `set_aside`.
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
  let held: ReadonlySet<string> = new Set();
  if (context.guard.reason !== null) {
    // Replay all spooled answers, even old ones: this copy of the database may not know the newest tokens. This must precede
    // the end of the quarantine, after which any process of this database spends the stored tokens.
    const { setAside } = await replaySpool(context, { ownToo: true, oldToo: true, retryNow: true });
    await assertReadable(context);
    held = await namesOf(context, setAside);
    await context.guard.adopt();
  }
  const grants = await inProbingOrder(context);
  const reports: AdoptReport[] = [];
  for (const { grant, rotates } of grants) {
    if (context.closing()) throw stopping(context);
    const isProbed = !rotates || options.afterRestore === true;
    const report = held.has(nameOf(grant))
      ? setAsideReport(grant)
      : isProbed
        ? await probe(context, grant)
        : untouched(grant);
    reports.push(report);
    options.onReport?.(report);
  }
  return reports;
}

/**
 * Refuses to adopt while a part of the spool cannot be read. It may hold the newest tokens of grants that this copy of the
 * database would otherwise replace by older ones, and nothing is lost by waiting.
 */
async function assertReadable(context: VaultContext): Promise<void> {
  const { unreadable } = await context.spool();
  if (unreadable.length === 0) return;
  throw new GrantryError('storage_unavailable', `A part of the spool cannot be read: ${unreadable.join(', ')}.`, {
    action: 'Make it readable for the user that runs Grantry, then adopt again.',
  });
}

/** Names the grants that wait for an answer which the database refuses to save. */
async function namesOf(context: VaultContext, heads: readonly SpoolHead[]): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const { tenant, grantId } of heads) {
    const row = await readGrant(context.store.db, tenant, grantId);
    if (row !== undefined) names.add(nameOf({ tenant, provider: row.provider, account: row.account }));
  }
  return names;
}

function nameOf({ tenant, provider, account }: Pick<Grant, 'tenant' | 'provider' | 'account'>): string {
  return JSON.stringify([tenant, provider, account]);
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

function setAsideReport({ tenant, provider, account }: Grant): AdoptReport {
  return { tenant, provider, account, outcome: 'set_aside', error: 'refresh_uncertain' };
}

async function probe(context: VaultContext, grant: Grant): Promise<AdoptReport> {
  const { tenant, provider, account } = grant;
  const key = { tenant, provider, account };
  try {
    await refreshGrant(context, key, grant.generation);
    return { ...key, outcome: 'refreshed' };
  } catch (error) {
    if (!(error instanceof GrantryError)) throw error;
    // A locked row concerns only its grant: then the database still answers.
    if (isGrantryError(error, 'storage_unavailable')) await context.store.nowMs();
    else if (isVaultDown(error)) throw error;
    return { ...key, outcome: 'failed', error: error.code };
  }
}
