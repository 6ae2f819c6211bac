import type { KeyObject } from 'node:crypto';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { newUuid } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { systemTenant, TenantKeys } from '../crypto/tenant-keys.ts';
import { dcNames, resolveDc } from '../providers/data-centre.ts';
import { insertEvent } from '../storage/events.ts';
import { createInstance, setScrubPending } from '../storage/instance.ts';
import { migrate } from '../storage/migrations.ts';
import { overwriteDeleted, scrubPlaintext } from '../storage/scrub.ts';
import type { Store } from '../storage/store.ts';
import { convertForeignTable, type ForeignTable } from '../storage/take-over.ts';
import { countRows, countUnsealed, lockUnsealed, sealRow, type UnsealedRow } from '../storage/take-over-rows.ts';
import { insertTenantKey, loadTenantKeys } from '../storage/tenant-keys.ts';
import { type ChangeTransaction, changing, fingerprinter, type VaultContext } from './context.ts';
import { dueAt } from './due.ts';
import { converter } from './take-over-convert.ts';
import { sealTokens } from './tokens.ts';

/** Rows that one transaction seals: few enough that readers and other writers hardly wait. */
const batchRows = 200;
/** How long a take-over waits for others to let go of the database, before it leaves the scrubbing to the next start. */
const scrubWaitMs = 60_000;
const scrubPauseMs = 250;

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
  await overwriteDeleted(store, true);
  await withoutForeignKeys(store, () =>
    migrate(store, {
      mode: options.mode,
      takeOver: async (tx) => {
        const convert = converter(world);
        table = await convertForeignTable(tx, store.kind, (row) => convert(row).row);
      },
      afterTakeOver: async (tx) => {
        const identity = { vault_id: newUuid(world), installation: options.installation, ...place, scrub_pending: 1 };
        await createInstance(tx, store.now(), identity);
        await insertEvent(tx, store.now(), { ...tableEvent, details: JSON.stringify({ dropped: table?.dropped ?? [] }) });
      },
    }),
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

export interface TakeOverKeys {
  rootKey: KeyObject;
  vaultId: string;
  onProgress?: ((progress: { sealed: number; total: number }) => void) | undefined;
}

/** Seals every row that still holds plaintext. Killed, it goes on where it was; several processes share the work. */
export async function sealTakenOver(context: VaultContext, keys: TakeOverKeys): Promise<void> {
  const { store, world } = context;
  await overwriteDeleted(store, true);
  // Made before any row is locked: whoever makes it writes it outside of our transactions.
  await fingerprinter(context);
  const total = await countRows(store.db);
  let refused = 0;
  for (let afterId: string | null = null; ; ) {
    const batch = await sealBatch(context, keys, afterId);
    refused += batch.refused;
    if (batch.lastId !== null) {
      afterId = batch.lastId;
      if (keys.onProgress) keys.onProgress({ sealed: total - (await countUnsealed(store.db)), total });
      continue;
    }
    const left = await countUnsealed(store.db);
    if (left <= refused) break;
    // Another process holds the rest; if it dies, its rows are free again.
    await world.sleep(scrubPauseMs);
    afterId = null;
    refused = 0;
  }
  if (refused === 0) return;
  throw new GrantryError('integrity_failed', `${refused} rows that were taken over cannot be sealed; the log names them.`, {
    action: 'Delete their tokens, then run grantry init again.',
  });
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
  const giveUpAt = world.monotonic() + (options.wait ? scrubWaitMs * (world.timeScale ?? 1) : 0);
  for (;;) {
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
    await world.sleep(scrubPauseMs);
  }
}

/** One transaction: some rows and the keys that their tenants did not have yet. */
async function sealBatch(
  context: VaultContext,
  { rootKey, vaultId }: TakeOverKeys,
  afterId: string | null,
): Promise<{ lastId: string | null; refused: number }> {
  const { store, world, logger } = context;
  const fingerprint = await fingerprinter(context);
  const preparation = new Map<string, Preparation>();
  return changing(context, async (change) => {
    const { tx, now } = change;
    const rows = await lockUnsealed(tx, store.kind, { afterId, limit: batchRows });
    // Keys that are made in this transaction are nobody's until it commits, so they are not the context's own.
    const keys = new TenantKeys({
      rootKey,
      vaultId,
      world,
      store: {
        load: (tenant) => loadTenantKeys(tx, tenant),
        insert: async (key) => {
          await insertTenantKey(tx, now, key);
        },
      },
    });
    let refused = 0;
    // In the order of their tenants: two processes that make keys for the same ones must not wait for each other.
    for (const row of rows.toSorted((a, b) => (a.client_id < b.client_id ? -1 : 1))) {
      const { metadata, due_at } = preparation.get(row.id) ?? { metadata: row.metadata, due_at: null };
      const refreshToken = secretOf(row.refresh_token);
      const grant = { id: row.id, generation: 1 };
      try {
        const tenantKeys = await keys.pin(row.client_id);
        const sealed = sealTokens(tenantKeys, grant, { accessToken: secretOf(row.access_token), refreshToken });
        const refresh_fingerprint = refreshToken === null ? null : fingerprint(refreshToken);
        const written = await sealRow(tx, now, {
          id: row.id,
          client_id: row.client_id,
          ...sealed,
          refresh_fingerprint,
          metadata,
          due_at,
        });
        if (written) await recordTaken(change, row, refresh_fingerprint);
      } catch (error) {
        if (!isGrantryError(error, 'integrity_failed') && !isGrantryError(error, 'invalid_request')) throw error;
        // Another row's tokens must not stay plaintext because this one's keys are damaged.
        logger.error('a row that was taken over cannot be sealed', { id: row.id, code: error.code });
        refused += 1;
      }
    }
    return { lastId: rows.at(-1)?.id ?? null, refused };
  });
}
