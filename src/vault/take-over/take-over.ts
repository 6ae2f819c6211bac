import { GrantryError } from '../../base/errors.ts';
import { newUuid, uuidSequence } from '../../base/ids.ts';
import { timesOf } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { World } from '../../base/world.ts';
import { systemTenant } from '../../crypto/tenant-keys.ts';
import type { WriteTx } from '../../storage/database.ts';
import { migrate } from '../../storage/migrations/migrate.ts';
import { insertEvents } from '../../storage/statements/events.ts';
import { createInstance, readInstance, setScrubPending } from '../../storage/statements/instance.ts';
import { isBusy, type OpenedStore } from '../../storage/store.ts';
import { countGrants, countUnsealed } from '../../storage/take-over/rows.ts';
import { overwriteDeleted, scrubPlaintext } from '../../storage/take-over/scrub.ts';
import { withoutForeignKeys } from '../../storage/take-over/sqlite.ts';
import type { ForeignTable } from '../../storage/take-over/table.ts';
import { convertForeignTable } from '../../storage/take-over/take-over.ts';
import { changing } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { converter } from './convert.ts';
import { definitionsOf, type SealedBatch, type SealingKeys, sealBatch } from './seal.ts';

export interface SchemaTakeOver {
  mode: 'auto' | 'off';
  world: World;
  installation: string | null;
  logger: Logger;
}

/**
 * Creates Grantry's schema around a table of another program, in one transaction. The table gets Grantry's columns, and the
 * database records that it contains plaintext. A kill before the commit changes nothing.
 *
 * @throws {GrantryError} `invalid_request` for a table that cannot be taken over
 */
export async function takeOverSchema(store: OpenedStore, options: SchemaTakeOver): Promise<void> {
  const { world } = options;
  const location = await store.location();
  let table: ForeignTable | undefined;
  const takeOver = async (tx: WriteTx): Promise<void> => {
    const convert = converter(world);
    table = await convertForeignTable(tx, store.kind, (row) => convert(row).row);
  };
  const afterTakeOver = async (tx: WriteTx): Promise<void> => {
    const identity = { vault_id: newUuid(world), installation: options.installation, ...location, scrub_pending: 1 };
    await createInstance(tx, identity);
    const details = JSON.stringify({ dropped: table?.dropped ?? [] });
    await insertEvents(tx, [{ ...tableEvent, id: uuidSequence(world)(), details }]);
  };
  await overwriteDeleted(store, true);
  await withoutForeignKeys(store, () =>
    retryWhileBusy(world, () => migrate(store, { mode: options.mode, takeOver, afterTakeOver })),
  );
  for (const { kind, name } of table?.dropped ?? []) {
    options.logger.warn('the take-over dropped a part of the old table', { kind, name });
  }
}

const tableEvent = {
  tenant: systemTenant,
  grant_id: null,
  provider: null,
  account: null,
  type: 'table.taken_over',
  from_state: null,
  to_state: null,
  generation: null,
  reason: null,
};

/** Seals every row that still holds plaintext. A killed run can be resumed, and several processes share the work. */
export async function sealTakenOver(
  context: VaultContext,
  keys: SealingKeys,
  onProgress?: (progress: { sealed: number; total: number }) => void,
): Promise<void> {
  const { store, world } = context;
  await overwriteDeleted(store, true);
  // Created before any row is locked, because the fingerprinter writes its key outside of the transactions below.
  await fingerprinter(context);
  const total = await countGrants(store.db);
  let sealed = total - (await countUnsealed(store.db));
  const definitions = await definitionsOf(context);
  let refused = 0;
  for (let afterId: string | null = null; ; ) {
    const batch: SealedBatch = await sealBatch(context, keys, { afterId, definitions });
    refused += batch.refused;
    if (batch.lastId !== null) {
      afterId = batch.lastId;
      sealed += batch.sealed;
      onProgress?.({ sealed, total });
      continue;
    }
    const left = await countUnsealed(store.db);
    if (left <= refused) break;
    // Another process has locked the remaining rows; if it dies, they are unlocked.
    await world.sleep(timesOf(world).takeOverPauseMs);
    afterId = null;
    refused = 0;
  }
  if (refused === 0) return;
  throw new GrantryError('integrity_failed', `${refused} taken-over rows cannot be sealed; the log lists their ids.`, {
    action: 'Delete their tokens, then run grantry init again.',
  });
}

/**
 * Scrubs the remains of deleted plaintext and clears the mark. While other connections use the database, it waits if
 * `wait` is set, and otherwise leaves the mark for the next start.
 */
export async function scrubTakenOver(
  context: VaultContext,
  store: OpenedStore,
  options: { wait: boolean },
): Promise<void> {
  const { world, logger } = context;
  if ((await countUnsealed(store.db)) > 0) {
    logger.warn('some taken-over rows are not sealed yet: run grantry init');
    return;
  }
  const giveUpAt = world.monotonic() + (options.wait ? context.times.scrubWaitMs : 0);
  while ((await readInstance(store.db))?.scrub_pending === 1) {
    const scrubbed = await scrubPlaintext(store);
    if (scrubbed.outcome !== 'busy') {
      if (scrubbed.outcome === 'partly') {
        logger.warn("the planner's statistics may contain samples of plaintext, and this role may not rewrite them", {
          statement: scrubbed.statement,
        });
      }
      await changing(context, ({ tx }) => setScrubPending(tx, false));
      await overwriteDeleted(store, false);
      return;
    }
    if (world.monotonic() >= giveUpAt) {
      logger.warn(
        'other connections use the database: the remains of deleted plaintext are scrubbed at the next start',
      );
      return;
    }
    await world.sleep(timesOf(world).takeOverPauseMs);
  }
}

/** Retries while another process locks the database, since it may be taking over the same table. */
async function retryWhileBusy(world: World, run: () => Promise<unknown>): Promise<void> {
  const giveUpAt = world.monotonic() + timesOf(world).takeOverWaitMs;
  for (;;) {
    try {
      await run();
      return;
    } catch (error) {
      if (!isBusy(error) || world.monotonic() >= giveUpAt) throw error;
    }
    await world.sleep(timesOf(world).takeOverPauseMs);
  }
}
