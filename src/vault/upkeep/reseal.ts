import { isGrantryError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type SealPlace, systemTenant, type TenantKeys } from '../../crypto/tenant-keys.ts';
import type { WriteTx } from '../../storage/database.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import {
  lockSealedTables,
  replaceGrantSeals,
  replaceSeal,
  replaceSecrets,
  type SealedGrant,
  sealedApps,
  sealedGrants,
} from '../../storage/statements/reseal.ts';
import type { StoreKind } from '../../storage/store.ts';
import { openSecrets, sealSecrets } from '../app/secrets.ts';
import { tokenPlace } from '../grant/tokens.ts';
import { pagesOf, rowsOf, sealedValues } from './sealed-values.ts';

/** The log names the progress each time that so many grants are done. It is a multiple of the page. */
const namedEachGrants = 2_000;

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
  const { tx, kind, logger } = work;
  await lockSealedTables(tx, kind);
  let grants = 0;
  for await (const page of pagesOf((at) => sealedGrants(tx, at))) {
    const resealed: GrantSeals[] = [];
    for (const row of page) resealed.push(await grantSeals(work, row));
    await replaceGrantSeals(tx, kind, resealed);
    grants += page.length;
    if (grants % namedEachGrants === 0) logger.info('the stored tokens are sealed anew', { grants });
  }
  for await (const { table, tenant, id, sealed, place } of sealedValues(tx)) {
    const anew = await sealAnew(work, tenant, sealed, place);
    if (anew !== sealed) await replaceSeal(tx, table, { tenant, id, sealed: anew });
  }
  await resealApps(work);
}

type GrantSeals = Pick<GrantRow, 'client_id' | 'id' | 'access_token' | 'refresh_token'>;

async function grantSeals(work: Resealing, row: SealedGrant): Promise<GrantSeals> {
  const { client_id, id } = row;
  const seal = async (column: 'access_token' | 'refresh_token') =>
    row[column] === null ? null : sealAnew(work, client_id, row[column], tokenPlace(row, column));
  return { client_id, id, access_token: await seal('access_token'), refresh_token: await seal('refresh_token') };
}

async function resealApps({ tx, keys, logger }: Resealing): Promise<void> {
  for await (const app of rowsOf((at) => sealedApps(tx, at))) {
    const system = await keys.pin(systemTenant);
    try {
      await replaceSecrets(tx, app.name, sealSecrets(system, app, openSecrets(system, app)));
    } catch (error) {
      if (!isGrantryError(error, 'integrity_failed')) throw error;
      logger.error('the secrets of an app do not open and are not sealed anew', { app: app.name });
    }
  }
}

/** Returns the value sealed anew, or as it is if it does not open. */
async function sealAnew(
  { keys, logger }: Resealing,
  tenant: string,
  sealed: string,
  place: SealPlace,
): Promise<string> {
  try {
    const pinned = await keys.pin(tenant);
    return pinned.seal(place, pinned.open(place, sealed));
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    const { table, row, column } = place;
    logger.error('a stored value does not open and is not sealed anew', { tenant, table, row, column });
    return sealed;
  }
}
