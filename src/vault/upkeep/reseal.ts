import { isGrantryError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type PinnedTenant, type SealPlace, systemTenant, type TenantKeys } from '../../crypto/tenant-keys.ts';
import type { WriteTx } from '../../storage/database.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import {
  type Page,
  replaceGrantSeals,
  replaceSeal,
  replaceSecrets,
  sealedApps,
  sealedCandidates,
  sealedGrants,
  sealedRevocations,
  sealedSessions,
} from '../../storage/statements/reseal.ts';
import type { StoreKind } from '../../storage/store.ts';
import { openSecrets, sealSecrets } from '../app/secrets.ts';
import { pendingPlace } from '../connect/completion.ts';
import { factsOf } from '../grant/facts.ts';
import { revocationPlace } from '../grant/revocations.ts';
import { candidatePlace, tokenPlace } from '../grant/tokens.ts';

const pageRows = 500;

/** The parts of a reseal. `keys` opens values of both formats. */
export interface Resealing {
  readonly tx: WriteTx;
  readonly kind: StoreKind;
  readonly keys: TenantKeys;
  readonly logger: Logger;
}

/**
 * Seals every value of a 0.1.0 vault anew, in format 2, within the transaction that upgrades it. From its commit on, no
 * value of format 1 opens there: an old one beside altered facts could send a token elsewhere.
 *
 * A value that does not open stays as it is, and is named in the log. It did not open before, either.
 */
export async function resealVault(work: Resealing): Promise<void> {
  const { tx, kind } = work;
  for await (const page of pages((at) => sealedGrants(tx, at))) {
    const resealed: Pick<GrantRow, 'client_id' | 'id' | 'access_token' | 'refresh_token'>[] = [];
    for (const row of page) resealed.push({ ...row, ...(await grantSeals(work, row)) });
    const rows = resealed.map(({ client_id, id, access_token, refresh_token }) => ({
      client_id,
      id,
      access_token,
      refresh_token,
    }));
    await replaceGrantSeals(tx, kind, rows);
  }
  for await (const page of pages((at) => sealedCandidates(tx, at))) {
    for (const row of page) {
      await resealRow(work, 'grantry_candidates', row, {
        sealed: row.tokens,
        place: candidatePlace(factsOf(row), row),
      });
    }
  }
  for await (const page of pages((at) => sealedRevocations(tx, at))) {
    for (const row of page) {
      await resealRow(work, 'grantry_revocations', row, { sealed: row.token, place: revocationPlace(row) });
    }
  }
  for await (const page of pages((at) => sealedSessions(tx, at))) {
    for (const row of page) {
      await resealRow(work, 'grantry_connect_sessions', row, { sealed: row.pending ?? '', place: pendingPlace(row) });
    }
  }
  await resealApps(work);
}

async function grantSeals(work: Resealing, row: GrantRow): Promise<Pick<GrantRow, 'access_token' | 'refresh_token'>> {
  const seal = async (column: 'access_token' | 'refresh_token') =>
    row[column] === null
      ? null
      : sealAnew(work, row.client_id, { sealed: row[column], place: tokenPlace(row, column) });
  return { access_token: await seal('access_token'), refresh_token: await seal('refresh_token') };
}

async function resealRow(
  work: Resealing,
  table: Parameters<typeof replaceSeal>[1],
  { tenant, id }: { tenant: string; id: string },
  value: Sealed,
): Promise<void> {
  const sealed = await sealAnew(work, tenant, value);
  if (sealed !== value.sealed) await replaceSeal(work.tx, table, { tenant, id, sealed });
}

async function resealApps(work: Resealing): Promise<void> {
  const system = await work.keys.pin(systemTenant);
  for await (const page of pages((at) => sealedApps(work.tx, at))) {
    for (const app of page) {
      try {
        await replaceSecrets(work.tx, app.name, sealSecrets(system, app, openSecrets(system, app)));
      } catch (error) {
        if (!isGrantryError(error, 'integrity_failed')) throw error;
        work.logger.error('the secrets of an app do not open and are not sealed anew', { app: app.name });
      }
    }
  }
}

interface Sealed {
  readonly sealed: string;
  readonly place: SealPlace;
}

/** Returns the value sealed anew, or as it is if it does not open. */
async function sealAnew({ keys, logger }: Resealing, tenant: string, { sealed, place }: Sealed): Promise<string> {
  try {
    const pinned: PinnedTenant = await keys.pin(tenant);
    return pinned.seal(place, pinned.open(place, sealed));
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    const { table, row, column } = place;
    logger.error('a stored value does not open and is not sealed anew', { tenant, table, row, column });
    return sealed;
  }
}

async function* pages<R extends { readonly id: string }>(read: (page: Page) => Promise<R[]>): AsyncGenerator<R[]> {
  let afterId: string | null = null;
  for (;;) {
    const page = await read({ afterId, limit: pageRows });
    if (page.length > 0) yield page;
    if (page.length < pageRows) return;
    afterId = page.at(-1)?.id ?? null;
  }
}
