/** The stage of the tests of `OAuthTokenService`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { GrantryError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { createSimulator, demoClient, type Simulator } from '../../src/simulator/index.ts';
import { OAuthTokenService } from '../../src/vault/drop-in/token-service.ts';
import { openVault } from '../../src/vault/open.ts';
import type { VaultOptions } from '../../src/vault/options.ts';
import type { Vault, VaultEvent } from '../../src/vault/types.ts';
import type { ScratchDatabase } from './postgres.ts';

export const provider = 'zoho_crm';
export const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'];
export const good = { clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' };
export const wrong = { ...good, clientSecret: 'a-secret-that-the-provider-refuses' };

/** A simulated Zoho, one database and any number of vaults, all on one clock. */
export class Stage implements AsyncDisposable {
  aheadMs = 0;
  readonly simulator: Simulator;
  readonly events: VaultEvent[] = [];
  readonly logged: string[] = [];
  readonly #home = mkdtempSync(join(tmpdir(), 'grantry-service-'));
  readonly #database: ScratchDatabase;
  readonly #vaults: Vault[] = [];

  constructor(database: ScratchDatabase) {
    this.#database = database;
    this.simulator = createSimulator({ profiles: ['zoho', 'strict'], now: () => Date.now() + this.aheadMs });
  }

  async open(options: Partial<VaultOptions> = {}): Promise<{ vault: Vault; service: OAuthTokenService }> {
    const real = systemWorld();
    const note = (message: string): void => void this.logged.push(message);
    const vault = await openVault({
      database: this.#database.database,
      home: this.#home,
      rootKey: `file:${join(this.#home, 'root.key')}`,
      world: {
        ...real,
        now: () => Date.now() + this.aheadMs,
        monotonic: () => performance.now() + this.aheadMs,
        fetch: this.simulator.worldFetch,
      },
      logger: { ...silentLogger, warn: note, error: note },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#vaults.push(vault);
    return { vault, service: new OAuthTokenService(vault) };
  }

  mint(dc = 'us') {
    return this.simulator.mintTokens({ clientId: demoClient.clientId, user: `user@${dc}.example`, scopes });
  }

  /** Number of token requests so far. */
  requests(): number {
    return this.simulator.history.events().filter((event) => event.kind === 'token').length;
  }

  pass(minutes: number): void {
    this.aheadMs += minutes * 60_000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const vault of this.#vaults) await vault.close();
    await this.#database.drop();
    rmSync(this.#home, { recursive: true, force: true });
  }
}

export async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => {
      if (!(error instanceof GrantryError)) throw error;
      expect(error.message).not.toMatch(/\n|\bat .*\.ts|secret-that|1000\.[0-9a-f]{8}/);
      return error.code;
    },
  );
}
