import { createSecretKey, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { GrantryError } from '../base/errors.ts';
import { limits, timesOf } from '../base/limits.ts';
import type { World } from '../base/world.ts';
import type { Fingerprint } from './fingerprint.ts';
import { integrityFailed, Pinned, type PinnedTenant } from './pinned-tenant.ts';
import { isKeyVersion, openRecord, saltBytes, sealRecord } from './record.ts';
import type { RowMac } from './row-mac.ts';

export type { Fingerprint } from './fingerprint.ts';
export type { PinnedTenant, SealPlace } from './pinned-tenant.ts';
export { integrityFailed } from './pinned-tenant.ts';

/** Tenant of everything that belongs to no customer: app secrets, the fingerprint key. No tenant can have this name. */
export const systemTenant = '$system';

/**
 * A part of the context in which the system tenant's key is wrapped once the rows carry MACs. The earlier
 * form of this key stands beside rows without MACs. Only a holder of the root key can bring that form back.
 */
const rowsMarked = 'row-macs';

const firstVersion = 1;
const keyBytes = 32;
const makeTriesMax = 3;

/** A tenant's key as stored in the database: sealed with the root key. */
export interface StoredTenantKey {
  tenant: string;
  version: number;
  wrapped: string;
}

/** Store of wrapped keys. */
export interface TenantKeyStore {
  /** Returns every version of a tenant's key. */
  load(tenant: string): Promise<readonly StoredTenantKey[]>;
  /** Inserts a key; does nothing when that version exists, because another process was faster. */
  insert(key: StoredTenantKey): Promise<void>;
}

export interface TenantKeysOptions {
  rootKey: KeyObject;
  /** Part of the context of every seal; never changes. */
  vaultId: string;
  world: World;
  store: TenantKeyStore;
  /** True opens values of format 1 where format 2 is due: only while a vault of 0.1.0 is resealed. */
  acceptsFormat1?: boolean;
  /** Number of tenants whose unwrapped keys are cached; defaults to {@link limits}.tenantKeysMax. */
  cacheMax?: number;
  /** Milliseconds after which cached keys are read again; defaults to 10 minutes. */
  cacheMs?: number;
  /** False for a database whose rows have no MACs yet; defaults to true. */
  rowMacs?: boolean;
}

export interface PinOptions {
  /**
   * Reads the store even when the keys are cached. Needed before the first value of a grant is sealed. Another process
   * may have shredded the tenant's keys meanwhile; a value sealed with the old key would never open.
   */
  fresh?: boolean;
}

interface Cached {
  readonly pinned: Pinned;
  readonly loadedAt: number;
}

/**
 * Keys of all tenants, unwrapped when needed and cached.
 *
 * @example
 * const keys = new TenantKeys({ rootKey, vaultId, world, store });
 * const acme = await keys.pin('acme');
 * const sealed = acme.seal({ table: 'oauth_tokens', row: id, column: 'refresh_token', generation: 1 }, token);
 */
export class TenantKeys {
  readonly #rootKey: KeyObject;
  readonly #vaultId: string;
  readonly #world: World;
  readonly #store: TenantKeyStore;
  readonly #acceptsFormat1: boolean;
  readonly #cacheMs: number;
  // The cache's own expiry is not used: it would read a clock that is not the world's.
  readonly #cache: LRUCache<string, Cached>;
  readonly #loading = new Map<string, Promise<Pinned>>();
  readonly #rowMacs: boolean;
  #fingerprint: Fingerprint | undefined;

  constructor(options: TenantKeysOptions) {
    this.#rootKey = options.rootKey;
    this.#vaultId = options.vaultId;
    this.#world = options.world;
    this.#store = options.store;
    this.#acceptsFormat1 = options.acceptsFormat1 ?? false;
    this.#rowMacs = options.rowMacs ?? true;
    this.#cacheMs = options.cacheMs ?? timesOf(options.world).tenantKeyCachedMs;
    this.#cache = new LRUCache({ max: options.cacheMax ?? limits.tenantKeysMax });
  }

  /**
   * Unwraps the tenant's keys and returns an object that holds them; creates the first key when there is none.
   *
   * @throws {GrantryError} `vault_sealed` when another root key wrapped them; `integrity_failed` when they were altered
   * or moved.
   * @throws errors of the store.
   */
  pin(tenant: string, options: PinOptions = {}): Promise<PinnedTenant> {
    return this.#pin(tenant, options);
  }

  /** Drops the tenant's cached keys, after they were shredded. Pinned objects keep working. */
  forget(tenant: string): void {
    this.#cache.delete(tenant);
    // A later caller must not share a load that began before this call.
    this.#loading.delete(tenant);
  }

  /**
   * Returns the function that fingerprints secrets; see {@link Fingerprint}. Its results survive every rotation of
   * keys.
   *
   * @throws {GrantryError} as {@link TenantKeys.pin}
   */
  async fingerprinter(): Promise<Fingerprint> {
    if (this.#fingerprint !== undefined) return this.#fingerprint;
    const pinned = await this.#pin(systemTenant);
    this.#fingerprint ??= pinned.fingerprint();
    return this.#fingerprint;
  }

  /**
   * Returns the MAC over rows, under a key of the system tenant.
   *
   * @throws {GrantryError} as {@link TenantKeys.pin}
   */
  async rowMac(): Promise<RowMac> {
    return (await this.#pin(systemTenant)).rowMac();
  }

  /**
   * Wraps the system tenant's keys anew, for a database whose rows get their MACs. Only `rowMacs: false` opens the old form.
   *
   * @throws {GrantryError} as {@link TenantKeys.pin}; for keys in the new form too
   */
  wrapForRowMacs(stored: readonly StoredTenantKey[]): StoredTenantKey[] {
    return stored.map((each) => {
      const plaintext = this.#unwrap(systemTenant, each).export();
      const wrapped = this.#wrap(plaintext, each.version, [
        ...this.#wrapContext(systemTenant, each.version),
        rowsMarked,
      ]);
      plaintext.fill(0);
      return { tenant: systemTenant, version: each.version, wrapped };
    });
  }

  async #pin(tenant: string, options: PinOptions = {}): Promise<Pinned> {
    if (options.fresh !== true) {
      const cached = this.#cache.get(tenant);
      if (cached !== undefined && this.#isUsable(cached)) return cached.pinned;
      const loading = this.#loading.get(tenant);
      if (loading !== undefined) return loading;
    }
    const loading = this.#load(tenant);
    this.#loading.set(tenant, loading);
    try {
      return await loading;
    } finally {
      if (this.#loading.get(tenant) === loading) this.#loading.delete(tenant);
    }
  }

  #isUsable(cached: Cached): boolean {
    return !cached.pinned.failed && this.#world.monotonic() - cached.loadedAt < this.#cacheMs;
  }

  /** Starts a load. Its result is cached unless `forget` was called or a fresher load began meanwhile. */
  #load(tenant: string): Promise<Pinned> {
    const loadedAt = this.#world.monotonic();
    const loading: Promise<Pinned> = this.#readOrMake(tenant).then((stored) => {
      const pinned = new Pinned({
        tenant,
        keys: this.#unwrapAll(tenant, stored),
        vaultId: this.#vaultId,
        world: this.#world,
        acceptsFormat1: this.#acceptsFormat1,
      });
      if (this.#loading.get(tenant) === loading) this.#cache.set(tenant, { pinned, loadedAt });
      return pinned;
    });
    return loading;
  }

  async #readOrMake(tenant: string): Promise<readonly StoredTenantKey[]> {
    for (let tries = 0; tries < makeTriesMax; tries += 1) {
      const stored = await this.#store.load(tenant);
      if (stored.length > 0) return stored;
      // Several processes may be here at once. Only the key that is read back counts, never the one made here.
      await this.#store.insert({ tenant, version: firstVersion, wrapped: this.#wrapNewKey(tenant) });
    }
    throw new GrantryError(
      'storage_unavailable',
      "The database does not keep a new tenant's key: it disappears after each insert.",
    );
  }

  #wrapNewKey(tenant: string): string {
    const plaintext = this.#world.randomBytes(keyBytes);
    const wrapped = this.#wrap(plaintext, firstVersion, this.#wrapContext(tenant, firstVersion));
    plaintext.fill(0);
    return wrapped;
  }

  #wrap(plaintext: Uint8Array, keyVersion: number, context: readonly string[]): string {
    const salt = this.#world.randomBytes(saltBytes);
    return sealRecord({ purpose: 'wrap', key: this.#rootKey, keyVersion, context, salt, plaintext });
  }

  #unwrapAll(tenant: string, stored: readonly StoredTenantKey[]) {
    return new Map(
      stored.map((each) => [each.version, { key: this.#unwrap(tenant, each), wrapped: each.wrapped }] as const),
    );
  }

  #unwrap(tenant: string, stored: StoredTenantKey): KeyObject {
    if (!isKeyVersion(stored.version)) throw integrityFailed();
    const opened = openRecord({
      purpose: 'wrap',
      findKey: (version) => (version === stored.version ? this.#rootKey : undefined),
      context: this.#wrapContext(tenant, stored.version),
      text: stored.wrapped,
    });
    if (opened.outcome === 'wrong_key') {
      throw new GrantryError(
        'vault_sealed',
        'The root key does not match: this database was created with another one.',
        { action: 'Set GRANTRY_ROOT_KEY to the key that this database was created with.' },
      );
    }
    if (opened.outcome === 'damaged' || opened.plaintext.length !== keyBytes) throw integrityFailed();
    const key = createSecretKey(opened.plaintext);
    opened.plaintext.fill(0);
    return key;
  }

  #wrapContext(tenant: string, version: number): readonly string[] {
    const context = [this.#vaultId, tenant, String(version)];
    return this.#rowMacs && tenant === systemTenant ? [...context, rowsMarked] : context;
  }
}
