import type { KeyObject } from 'node:crypto';
import type { Transaction } from 'kysely';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { newUuid } from '../base/ids.ts';
import { timesOf } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { type Fingerprint, systemTenant, TenantKeys } from '../crypto/tenant-keys.ts';
import { dcNames, resolveDc } from '../providers/data-centre.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { insertEvent } from '../storage/events.ts';
import { createInstance, readInstance, setScrubPending } from '../storage/instance.ts';
import { migrate } from '../storage/migrations.ts';
import type { Schema } from '../storage/schema.ts';
import { overwriteDeleted, scrubPlaintext } from '../storage/scrub.ts';
import { isBusy, type Store } from '../storage/store.ts';
import { convertForeignTable, type ForeignTable } from '../storage/take-over.ts';
import {
  countRows,
  countUnsealed,
  lockUnsealed,
  providersOfUnsealed,
  sealRow,
  type UnsealedRow,
} from '../storage/take-over-rows.ts';
import { withoutForeignKeys } from '../storage/take-over-sqlite.ts';
import { insertTenantKey, loadTenantKeys } from '../storage/tenant-keys.ts';
import { type ChangeTransaction, changing, fingerprinter, type VaultContext } from './context.ts';
import { dueAtOf } from './due.ts';
import { converter } from './take-over-convert.ts';
import { sealTokens } from './tokens.ts';

/** Rows that one transaction seals: few enough that readers and other writers hardly wait. */
const batchRows = 200;
const pauseMs = 250;

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
  const definitions = await definitionsOf(context);
  let refused = 0;
  for (let afterId: string | null = null; ; ) {
    const batch = await sealBatch(context, keys, { afterId, definitions });
    refused += batch.refused;
    if (batch.lastId !== null) {
      afterId = batch.lastId;
      if (keys.onProgress) keys.onProgress({ sealed: total - (await countUnsealed(store.db)), total });
      continue;
    }
    const left = await countUnsealed(store.db);
    if (left <= refused) break;
    // Another process holds the rest; if it dies, its rows are free again.
    await world.sleep(pauseMs);
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
    await world.sleep(pauseMs);
  }
}

/** One transaction: some rows, and the keys that their tenants did not have yet. */
async function sealBatch(context: VaultContext, keys: TakeOverKeys, batch: Batch): Promise<Sealed> {
  const { store, logger } = context;
  const fingerprint = await fingerprinter(context);
  return changing(context, async (change) => {
    const rows = await lockUnsealed(change.tx, store.kind, { afterId: batch.afterId, limit: batchRows });
    const tenants = keysOf(context, keys, change);
    let refused = 0;
    // In the order of their tenants: two processes that make keys for the same ones must not wait for each other.
    for (const row of rows.toSorted((a, b) => (a.client_id < b.client_id ? -1 : 1))) {
      try {
        await sealOne(context, change, { row, tenants, fingerprint, definition: batch.definitions.get(row.provider) });
      } catch (error) {
        if (!isGrantryError(error, 'integrity_failed')) throw error;
        // Another row's tokens must not stay plaintext because this one's keys are damaged.
        logger.error('a row that was taken over cannot be sealed', { id: row.id, code: error.code });
        refused += 1;
      }
    }
    return { lastId: rows.at(-1)?.id ?? null, refused };
  });
}

interface Batch {
  afterId: string | null;
  definitions: ReadonlyMap<string, ProviderDefinition>;
}

interface Sealed {
  /** Null when no row is left behind `afterId`. */
  lastId: string | null;
  refused: number;
}

/** Keys that are made in a transaction are nobody's until it commits, so they are not the context's own. */
function keysOf(context: VaultContext, { rootKey, vaultId }: TakeOverKeys, { tx, now }: ChangeTransaction): TenantKeys {
  return new TenantKeys({
    rootKey,
    vaultId,
    world: context.world,
    store: {
      load: (tenant) => loadTenantKeys(tx, tenant),
      insert: async (key) => {
        await insertTenantKey(tx, now, key);
      },
    },
  });
}

interface RowToSeal {
  row: UnsealedRow;
  tenants: TenantKeys;
  fingerprint: Fingerprint;
  definition: ProviderDefinition | undefined;
}

async function sealOne(context: VaultContext, change: ChangeTransaction, work: RowToSeal): Promise<void> {
  const { row, tenants, fingerprint, definition } = work;
  const generation = 1;
  const accessToken = secretOf(row.access_token);
  const refreshToken = secretOf(row.refresh_token);
  const tenantKeys = await tenants.pin(row.client_id);
  const expiresAtMs = accessToken === null || row.token_expiry === null ? null : Date.parse(row.token_expiry);
  const written = await sealRow(change.tx, change.now, {
    id: row.id,
    client_id: row.client_id,
    ...sealTokens(tenantKeys, { id: row.id, generation }, { accessToken, refreshToken }),
    refresh_fingerprint: refreshToken === null ? null : fingerprint(refreshToken),
    metadata: definition === undefined ? row.metadata : withKnownDc(definition, row.metadata),
    due_at: definition === undefined || row.state !== 'active' ? null : dueAtOf(context, definition, expiresAtMs),
  });
  if (!written) return;
  await change.record({
    type: 'grant.taken_over',
    tenant: row.client_id,
    grantId: row.id,
    provider: row.provider,
    account: row.account,
    from: null,
    to: row.state,
    generation,
    reason: row.reason,
  });
}

/** Writes the data centre as we name it, `com` as `us`; one that nobody knows stays as it is. */
function withKnownDc(definition: ProviderDefinition, json: string): string {
  // The metadata column holds a JSON object; it was converted before it was stored.
  const metadata = JSON.parse(json) as Record<string, unknown>;
  const { dc } = metadata;
  if (typeof dc !== 'string' || dc === '' || dcNames(definition).length === 0) return json;
  try {
    return JSON.stringify({ ...metadata, dc: resolveDc(definition, dc) });
  } catch {
    return json;
  }
}

async function definitionsOf(context: VaultContext): Promise<ReadonlyMap<string, ProviderDefinition>> {
  const found = new Map<string, ProviderDefinition>();
  for (const provider of await providersOfUnsealed(context.store.db)) {
    const definition = await context.providers.get(provider);
    if (definition !== null) found.set(provider, definition);
  }
  return found;
}

function secretOf(plaintext: string | null): Secret | null {
  return plaintext === null || plaintext === '' ? null : new Secret(plaintext);
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
    await world.sleep(pauseMs);
  }
}
