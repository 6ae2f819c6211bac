import { isGrantryError } from '../../base/errors.ts';
import { type SealPlace, systemTenant } from '../../crypto/tenant-keys.ts';
import { sealedApps, sealedGrants } from '../../storage/statements/reseal.ts';
import { openSecrets } from '../app/secrets.ts';
import type { VaultContext } from '../context.ts';
import { nameOf } from '../grant/refusals.ts';
import { tokenPlace } from '../grant/tokens.ts';
import { rowsOf, sealedValues } from './sealed-values.ts';

/** The values of a vault that were opened, and the names of those that do not open. */
export interface SealsReport {
  readonly checked: number;
  readonly altered: readonly string[];
}

/** Opens every sealed value of the database. It changes nothing. A value that does not open was altered, or its row was. */
export async function checkSeals(context: Pick<VaultContext, 'store' | 'keys'>): Promise<SealsReport> {
  const { db } = context.store;
  const altered: string[] = [];
  let checked = 0;
  const check = async (name: string, open: () => Promise<unknown>): Promise<void> => {
    checked += 1;
    if (!(await opens(open))) altered.push(name);
  };
  const opening = (tenant: string, place: SealPlace, sealed: string) => async () => {
    (await context.keys.pin(tenant)).open(place, sealed);
  };
  for await (const row of rowsOf((page) => sealedGrants(db, page))) {
    const tenant = row.client_id;
    await check(nameOf(row), async () => {
      const { access_token, refresh_token } = row;
      if (access_token !== null) await opening(tenant, tokenPlace(row, 'access_token'), access_token)();
      if (refresh_token !== null) await opening(tenant, tokenPlace(row, 'refresh_token'), refresh_token)();
    });
  }
  for await (const { table, tenant, id, place, sealed } of sealedValues(db)) {
    await check(`${table} ${id} of ${tenant}`, opening(tenant, place, sealed));
  }
  for await (const row of rowsOf((page) => sealedApps(db, page))) {
    await check(`the app ${row.name}`, async () => openSecrets(await context.keys.pin(systemTenant), row));
  }
  return { checked, altered };
}

async function opens(open: () => Promise<unknown>): Promise<boolean> {
  try {
    await open();
    return true;
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return false;
  }
}
