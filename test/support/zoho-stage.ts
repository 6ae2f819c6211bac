/** A simulated Zoho at its real addresses, and one vault over it, for adapters and pages about Zoho. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';
import { createSimulator, demoClient, type MintedTokens, type Simulator } from '../../src/simulator/index.ts';
import { openVault } from '../../src/vault/open.ts';
import type { VaultOptions } from '../../src/vault/options.ts';
import type { Vault } from '../../src/vault/types.ts';

export const zohoScopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.settings.ALL', 'ZohoCRM.org.READ'];

export interface ZohoStage extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly vault: Vault;
  readonly home: string;
  /** Opens another vault over the same database, as another process does. It is yours to close. */
  open(options?: Partial<VaultOptions>): Promise<Vault>;
  /** Serves another vault over the same database. It is yours to stop. */
  serve(): Promise<RunningServer>;
  /** Stores a grant per data centre, whose tenant has the name of the data centre. */
  connect(provider: string, ...dcs: readonly string[]): Promise<void>;
  /** Tokens of the user of a data centre. */
  mint(dc: string, scopes?: readonly string[]): MintedTokens;
  /** The token requests that spent a refresh token. */
  requestsFor(tokens: MintedTokens): number;
}

/** The client that the simulator knows. */
export const zohoClient = { clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' };

/** @param around sees every request to Zoho, and may answer it in the simulator's place */
export async function zohoStage(
  options: Partial<VaultOptions> = {},
  around: (send: World['fetch']) => World['fetch'] = (send) => send,
): Promise<ZohoStage> {
  const home = mkdtempSync(join(tmpdir(), 'grantry-zoho-'));
  const simulator = createSimulator();
  const world = { ...systemWorld(), fetch: around(simulator.worldFetch) };
  const open = (more: Partial<VaultOptions> = {}): Promise<Vault> =>
    openVault({
      database: `sqlite:${join(home, 'grantry.db')}`,
      home,
      world,
      logger: silentLogger,
      ...options,
      ...more,
    });
  const vault = await open();
  const mint: ZohoStage['mint'] = (dc, scopes = zohoScopes) =>
    simulator.mintTokens({ clientId: demoClient.clientId, user: `user@${dc}.example`, scopes: [...scopes] });
  return {
    simulator,
    vault,
    home,
    open,
    mint,
    serve: () => startServer({ open: () => open(), port: 0, workers: false }),
    connect: async (provider, ...dcs) => {
      await vault.apps.put(`app-${provider}`, { provider, ...zohoClient });
      for (const dc of dcs) {
        const { refreshToken } = mint(dc);
        await vault.storeTokens({ tenant: dc, provider }, { refreshToken, metadata: { dc } });
      }
    },
    requestsFor: ({ refreshToken }) => simulator.history.requestsFor(refreshToken).length,
    async [Symbol.asyncDispose]() {
      await vault.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
