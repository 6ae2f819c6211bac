import type { Transaction } from 'kysely';
import { GrantryError } from '../../base/errors.ts';
import { newUuid } from '../../base/ids.ts';
import { timesOf } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { World } from '../../base/world.ts';
import { systemTenant } from '../../crypto/tenant-keys.ts';
import { migrate } from '../../storage/migrations/migrate.ts';
import type { Schema } from '../../storage/schema.ts';
import { insertEvent } from '../../storage/statements/events.ts';
import { createInstance, readInstance, setScrubPending } from '../../storage/statements/instance.ts';
import { isBusy, type Store } from '../../storage/store.ts';
import { countRows, countUnsealed } from '../../storage/take-over/rows.ts';
import { overwriteDeleted, scrubPlaintext } from '../../storage/take-over/scrub.ts';
import { withoutForeignKeys } from '../../storage/take-over/sqlite.ts';
import type { ForeignTable } from '../../storage/take-over/table.ts';
import { convertForeignTable } from '../../storage/take-over/take-over.ts';
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
 * Makes Grantry's schema around a table that another program made, in one transaction: that table gets our columns, and
 * the database remembers that it holds plaintext. Killed before the commit, nothing has happened.
 *
 * @throws {GrantryError} `invalid_request` for a table that cannot be taken over
 */
export async function takeOverSchema(store: Store, options: SchemaTakeOver): Promise<void> {
  const { world } = options;
  const place = await store.location();
  let table: ForeignTable | undefined;
  const takeOver = async (tx: Transaction<Schema>): Promise<void> => {
    const convert = converter(world);
    table = await convertForeignTable(tx, store.kind, (row) => convert(row).row);
  };
  const afterTakeOver = async (tx: Transaction<Schema>): Promise<void> => {
    const identity = { vault_id: newUuid(world), installation: options.installation, ...place, scrub_pending: 1 };
    await createInstance(tx, store.now(), identity);
    await insertEvent(tx, store.now(), { ...tableEvent, details: JSON.stringify({ dropped: table?.dropped ?? [] }) });
  };
  await overwriteDeleted(store, true);
  await withoutForeignKeys(store, () =>
    patiently(world, () => migrate(store, { mode: options.mode, takeOver, afterTakeOver })),
  );
  for (const { kind, name } of table?.dropped ?? []) {
    options.logger.warn('a part of the old table does not survive the take-over', { kind, name });
  }
}

const tableEvent = {
  client_id: systemTenant,
  grant_id: null,
  provider: null,
  account: null,
  type: 'table.taken_over',
  from_state: null,
  to_state: null,
  generation: null,
  reason: null,
};

/** Seals every row that still holds plaintext. Killed, it goes on where it was; several processes share the work. */
export async function sealTakenOver(
  context: VaultContext,
  keys: SealingKeys,
  onProgress?: (progress: { sealed: number; total: number }) => void,
): Promise<void> {
  const { store, world } = context;
  await overwriteDeleted(store, true);
  // Made before any row is locked: whoever makes it writes it outside of our transactions.
  await fingerprinter(context);
  const total = await countRows(store.db);
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
    // Another process holds the rest; if it dies, its rows are free again.
    await world.sleep(timesOf(world).takeOverPauseMs);
    afterId = null;
    refused = 0;
  }
  if (refused === 0) return;
  throw new GrantryError(
    'integrity_failed',
    `${refused} rows that were taken over cannot be sealed; the log names them.`,
    {
      action: 'Delete their tokens, then run grantry init again.',
    },
  );
}

/**
 * Scrubs what deleted plaintext left behind and clears the mark. While others use the database it waits, if it may, and
 * else leaves the mark for the next start.
 */
export async function scrubTakenOver(context: VaultContext, options: { wait: boolean }): Promise<void> {
  const { store, world, logger } = context;
  if ((await countUnsealed(store.db)) > 0) {
    logger.warn('rows that were taken over are not sealed yet: run grantry init');
    return;
  }
  const giveUpAt = world.monotonic() + (options.wait ? context.times.scrubWaitMs : 0);
  while ((await readInstance(store.db))?.scrub_pending === 1) {
    const scrubbed = await scrubPlaintext(store);
    if (scrubbed.outcome !== 'busy') {
      if (scrubbed.outcome === 'partly') {
        logger.warn("the planner's statistics may hold samples of plaintext, and this role may not rewrite them", {
          statement: scrubbed.statement,
        });
      }
      await setScrubPending(store.db, false);
      await overwriteDeleted(store, false);
      return;
    }
    if (world.monotonic() >= giveUpAt) {
      logger.warn('others use the database: what deleted plaintext left behind is scrubbed at the next start');
      return;
    }
    await world.sleep(timesOf(world).takeOverPauseMs);
  }
}

/** Waits while another process holds the database: it may be taking over the same table. */
async function patiently(world: World, run: () => Promise<unknown>): Promise<void> {
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
