import type { KeyObject } from 'node:crypto';
import { isGrantryError } from '../../base/errors.ts';
import { Secret } from '../../base/secret.ts';
import type { Fingerprint } from '../../crypto/fingerprint.ts';
import { type StoredTenantKey, TenantKeys } from '../../crypto/tenant-keys.ts';
import { dcNames, resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { insertTenantKeys, loadKeysOfTenants } from '../../storage/statements/tenant-keys.ts';
import { lockUnsealed, providersOfUnsealed, type SealedRow, sealRows } from '../../storage/take-over/rows.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { dueAtOf } from '../grant/due.ts';
import { factsOf } from '../grant/facts.ts';
import { sealTokens } from '../grant/tokens.ts';

/** Rows sealed per transaction: few enough that readers and other writers hardly wait. */
const batchRows = 200;
const firstGeneration = 1;

/** Key material for creating the keys of tenants that have none. */
export interface SealingKeys {
  rootKey: KeyObject;
  vaultId: string;
}

export interface Batch {
  afterId: string | null;
  definitions: ReadonlyMap<string, ProviderDefinition>;
}

export interface SealedBatch {
  /** Null if no unsealed row follows `afterId`. */
  lastId: string | null;
  sealed: number;
  /** Number of rows that were skipped because their tenant's keys are damaged. */
  refused: number;
}

/** Seals some rows in one transaction of a few statements, and creates the keys that their tenants lack. */
export async function sealBatch(context: VaultContext, keys: SealingKeys, batch: Batch): Promise<SealedBatch> {
  const { store } = context;
  const fingerprint = await fingerprinter(context);
  return changing(context, async (change) => {
    const rows = await lockUnsealed(change.tx, { afterId: batch.afterId, limit: batchRows });
    const tenants = await keysOf(context, keys, change, rows);
    const sealed: SealedRow[] = [];
    for (const row of rows) {
      const one = await sealOne(context, row, {
        tenants,
        fingerprint,
        definition: batch.definitions.get(row.provider),
      });
      if (one === undefined) continue;
      sealed.push(one);
      const taken = { ...row, state: null, generation: firstGeneration };
      const details = { fingerprint: one.refresh_fingerprint };
      change.record(taken, { type: 'grant.taken_over', to: row.state, reason: row.reason, details });
    }
    if (sealed.length > 0) await sealRows(change.tx, store.kind, sealed);
    return { lastId: rows.at(-1)?.id ?? null, sealed: sealed.length, refused: rows.length - sealed.length };
  });
}

/** Reads the definitions of all providers with unsealed rows, so that the sealing transactions need not read them. */
export async function definitionsOf(context: VaultContext): Promise<ReadonlyMap<string, ProviderDefinition>> {
  const found = new Map<string, ProviderDefinition>();
  for (const provider of await providersOfUnsealed(context.store.db)) {
    const definition = await context.providers.get(provider);
    if (definition !== null) found.set(provider, definition);
  }
  return found;
}

/**
 * Reads or creates the keys of these rows' tenants within the transaction. Until the commit the new keys are invisible to
 * others, so they must not enter the context's shared key cache.
 */
async function keysOf(
  context: VaultContext,
  keys: SealingKeys,
  { tx }: ChangeTransaction,
  rows: readonly GrantRow[],
): Promise<TenantKeys> {
  // Sorted, so that two processes that create keys for the same tenants cannot deadlock.
  const names = [...new Set(rows.map((row) => row.client_id))].sort();
  const known = byTenant(await loadKeysOfTenants(tx, names));
  const made: StoredTenantKey[] = [];
  const maker = tenantKeys(context, keys, known, made);
  for (const name of names) if (!known.has(name)) await maker.pin(name);
  await insertTenantKeys(tx, made);
  // Use only the keys that are read back, because another process may have inserted its own first.
  return tenantKeys(context, keys, byTenant(await loadKeysOfTenants(tx, names)), []);
}

function tenantKeys(
  context: VaultContext,
  keys: SealingKeys,
  known: Map<string, StoredTenantKey[]>,
  made: StoredTenantKey[],
): TenantKeys {
  return new TenantKeys({
    ...keys,
    world: context.world,
    store: {
      load: async (tenant) => known.get(tenant) ?? [],
      insert: async (key) => {
        made.push(key);
        known.set(key.tenant, [key]);
      },
    },
  });
}

function byTenant(rows: readonly StoredTenantKey[]): Map<string, StoredTenantKey[]> {
  return Map.groupBy(rows, (row) => row.tenant);
}

async function sealOne(
  context: VaultContext,
  row: GrantRow,
  work: { tenants: TenantKeys; fingerprint: Fingerprint; definition: ProviderDefinition | undefined },
): Promise<SealedRow | undefined> {
  const { tenants, fingerprint, definition } = work;
  const accessToken = secretOf(row.access_token);
  const refreshToken = secretOf(row.refresh_token);
  const expiresAtMs = accessToken === null || row.token_expiry === null ? null : Date.parse(row.token_expiry);
  try {
    const pinned = await tenants.pin(row.client_id);
    const metadata = definition === undefined ? row.metadata : withKnownDc(definition, row);
    const place = { id: row.id, generation: firstGeneration, facts: factsOf({ ...row, metadata }) };
    return {
      id: row.id,
      client_id: row.client_id,
      ...sealTokens(pinned, place, { accessToken, refreshToken }),
      refresh_fingerprint: refreshToken === null ? null : fingerprint(refreshToken),
      metadata,
      due_at: definition === undefined || row.state !== 'active' ? null : dueAtOf(context, definition, expiresAtMs),
    };
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    // Damaged keys of one tenant must not leave other rows in plaintext.
    context.logger.error('a taken-over row cannot be sealed', { id: row.id, code: error.code });
    return undefined;
  }
}

/** Normalises the name of the data centre, such as `com` to `us`; an unknown name stays unchanged. */
function withKnownDc(definition: ProviderDefinition, row: GrantRow): string {
  const metadata = metadataOf(row);
  const { dc } = metadata;
  if (typeof dc !== 'string' || dc === '' || dcNames(definition).length === 0) return row.metadata;
  try {
    return JSON.stringify({ ...metadata, dc: resolveDc(definition, dc) });
  } catch {
    return row.metadata;
  }
}

function secretOf(plaintext: string | null): Secret | null {
  return plaintext === null || plaintext === '' ? null : new Secret(plaintext);
}
