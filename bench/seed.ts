import { newUuid } from '../src/base/ids.ts';
import { Secret } from '../src/base/secret.ts';
import { systemWorld } from '../src/base/system-world.ts';
import { loadRootKey, parseRootKeySource } from '../src/crypto/root-key.ts';
import { type StoredTenantKey, TenantKeys } from '../src/crypto/tenant-keys.ts';
import type { Vault } from '../src/index.ts';
import { readInstance } from '../src/storage/statements/instance.ts';
import { insertTenantKeys } from '../src/storage/statements/tenant-keys.ts';
import type { VaultContext } from '../src/vault/context.ts';
import { factsOf } from '../src/vault/grant/facts.ts';
import { sealTokens } from '../src/vault/grant/tokens.ts';
import { internalsOf } from '../src/vault/internals.ts';

/** A grant to store for a benchmark. */
export interface SeedGrant {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly accessToken: string;
  /** The refresh token; null for a grant that is only read. */
  readonly refreshToken: string | null;
  readonly expiresAtMs: number;
  readonly dueAtMs: number | null;
  /** Time of the last use: a recently used grant is refreshed early. */
  readonly usedAtMs?: number;
}

const rowsAtOnce = 200;

/**
 * Stores grants of new tenants in bulk: sealed as usual under their own keys, but hundreds per statement and without
 * events. `storeTokens` takes one flushed transaction per grant.
 */
export async function seedGrants(
  vault: Vault,
  options: { rootKey: string; app: string; grants: Iterable<SeedGrant> },
): Promise<number> {
  const context = internalsOf(vault).open();
  const instance = await readInstance(context.store.db);
  if (instance === undefined) throw new Error('the vault has no instance');
  const fingerprint = await context.keys.fingerprinter();
  const made = new Map<string, StoredTenantKey>();
  const keys = new TenantKeys({
    rootKey: await loadRootKey(parseRootKeySource(options.rootKey)),
    vaultId: instance.vault_id,
    world: systemWorld(),
    store: {
      load: async (tenant) => [made.get(tenant)].filter((key) => key !== undefined),
      insert: async (key) => void made.set(key.tenant, key),
    },
  });
  let stored = 0;
  const seal = async (grant: SeedGrant): Promise<NewRow> => {
    const row = rowOf(context, grant, options.app);
    const accessToken = new Secret(grant.accessToken);
    const refreshToken = grant.refreshToken === null ? null : new Secret(grant.refreshToken);
    const sealed = sealTokens(
      await keys.pin(grant.tenant),
      { ...row, facts: factsOf(row) },
      { accessToken, refreshToken },
    );
    return { ...row, ...sealed, refresh_fingerprint: refreshToken === null ? null : fingerprint(refreshToken) };
  };
  const write = async (rows: NewRow[]): Promise<void> => {
    await context.store.transaction(async (tx) => {
      await insertTenantKeys(tx, [...made.values()]);
      await tx.insertInto('oauth_tokens').values(rows).execute();
    });
    stored += rows.length;
  };
  let batch: NewRow[] = [];
  for (const grant of options.grants) {
    batch.push(await seal(grant));
    if (batch.length < rowsAtOnce) continue;
    await write(batch);
    batch = [];
    // A tenant's grants are adjacent, so only the last tenant's keys are needed.
    const last = made.get(grant.tenant);
    made.clear();
    if (last !== undefined) made.set(grant.tenant, last);
    if (stored % 10_000 === 0) process.stderr.write(`\r  sealed grants: ${stored.toLocaleString('en')}`);
  }
  if (batch.length > 0) await write(batch);
  process.stderr.write('\r                                        \r');
  return stored;
}

type NewRow = ReturnType<typeof rowOf> & {
  access_token: string | null;
  refresh_token: string | null;
  refresh_fingerprint: string | null;
};

function rowOf(context: VaultContext, grant: SeedGrant, app: string) {
  const nowMs = context.world.now();
  const at = new Date(nowMs).toISOString();
  return {
    id: newUuid(context.world),
    client_id: grant.tenant,
    provider: grant.provider,
    account: grant.account,
    token_expiry: new Date(grant.expiresAtMs).toISOString(),
    scopes: 'ZohoCRM.modules.ALL',
    metadata: '{}',
    created_at: at,
    updated_at: at,
    app,
    state: 'active' as const,
    reason: null,
    generation: 1,
    authorized_generation: 1,
    token_type: 'Bearer',
    obtained_at: nowMs,
    last_refreshed_at: null,
    // Long enough ago that the change feed ignores it.
    changed_at: nowMs - 86_400_000,
    doubt_since: null,
    retry_at: null,
    overlap_until: null,
    lease_owner: null,
    lease_until: null,
    lease_fence: 0,
    condemned_at: null,
    used_at: grant.usedAtMs ?? null,
    due_at: grant.dueAtMs,
  };
}
