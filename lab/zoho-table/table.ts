/**
 * Tries every Zoho product in every data centre against the simulator: a browser's consent, a call, a call after the token
 * died, a call without its scope, the organisation's place, a health check and the revocation.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isGrantryError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { builtInProvider, builtInProviderIds } from '../../src/providers/catalogue.ts';
import type { ProviderDefinition } from '../../src/providers/definition.ts';
import { apiBase } from '../../src/providers/hosts.ts';
import { createSimulator, demoClient, type Simulator } from '../../src/simulator/index.ts';
import { openVault } from '../../src/vault/open.ts';
import type { Vault } from '../../src/vault/types.ts';

/** The steps that are tried, in this order. */
export const steps = ['connect', 'call', 'refresh', 'scope', 'organization', 'health', 'revoke'] as const;
export type Step = (typeof steps)[number];

/** `ok`; `none` where the product has no such thing; `-` where no call of the product is known that proves a grant; else the failure. */
export type Cell = string;

export interface Row {
  readonly product: string;
  readonly dc: string;
  readonly cells: Readonly<Record<Step, Cell>>;
}

/** The ids of the products, and of the grant that serves several. */
export const productIds: readonly string[] = builtInProviderIds.filter((id) => /^zoho(_|$)/.test(id));

const redirectUri = 'https://app.example/callback';
const orgId = 'the-organisation';

interface Stage {
  readonly vault: Vault;
  readonly simulator: Simulator;
  /** The last request that reached a product. */
  readonly last: () => Request | undefined;
}

/** Tries the given products in all their data centres, or in some. Calls back with each row. */
export async function runTable(
  products: readonly string[],
  onRow: (row: Row) => void = () => {},
  isTried: (product: string, dc: string) => boolean = () => true,
): Promise<Row[]> {
  const home = mkdtempSync(join(tmpdir(), 'zoho-table-'));
  const simulator = createSimulator({ autoApprove: true });
  let last: Request | undefined;
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (!new URL(request.url).hostname.startsWith('accounts.')) last = request.clone();
    return simulator.fetch(request);
  };
  const vault = await openVault({
    database: `sqlite:${home}/grantry.db`,
    home,
    world: { ...systemWorld(), fetch },
    logger: silentLogger,
  });
  const stage = { vault, simulator, last: () => last };
  try {
    const rows: Row[] = [];
    for (const product of products) {
      const definition = builtInProvider(product);
      if (definition === null) throw new RangeError(`no product ${product}`);
      for (const dc of Object.keys(definition.dataCenters ?? {})) {
        if (!isTried(product, dc)) continue;
        const row = { product, dc, cells: await tryRow(stage, definition, dc) };
        rows.push(row);
        onRow(row);
      }
    }
    return rows;
  } finally {
    await vault.close();
    rmSync(home, { recursive: true, force: true });
  }
}

async function tryRow(stage: Stage, definition: ProviderDefinition, dc: string): Promise<Record<Step, Cell>> {
  const { vault, simulator } = stage;
  const cells: Record<Step, Cell> = {
    connect: '-',
    call: '-',
    refresh: '-',
    scope: '-',
    organization: '-',
    health: '-',
    revoke: '-',
  };
  if (!(await isSimulated(simulator, definition, dc))) return cells;
  const key = { tenant: `${definition.id}-${dc}`, provider: definition.id };
  const scope = definition.api.health?.scope ?? 'AaaServer.profile.READ';
  const cell = async (step: Step, run: () => Promise<Cell>): Promise<void> => {
    cells[step] = await run().catch((error: unknown) => (isGrantryError(error) ? error.code : String(error)));
  };
  // Zoho limits codes and consents to ten in ten minutes.
  simulator.clock.advance(700_000);
  const app = `${definition.id}-${dc}`;
  const { clientId, secret: clientSecret } = demoClient;
  await vault.apps.put(app, { provider: definition.id, clientId, clientSecret, dc, redirectUri });
  await cell('connect', () => connect(stage, { ...key, app, redirectUri, scopes: [scope, 'AaaServer.profile.READ'] }));
  if (cells.connect !== 'ok') return cells;
  await cell('call', () => call(stage, key, definition));
  await cell('refresh', () => refresh(stage, key, definition));
  await cell('organization', () => organization(stage, key, definition));
  await cell('health', async () => (definition.api.health === undefined ? 'none' : said(await vault.health(key))));
  await cell('scope', () => missingScope(stage, key, app, definition, dc));
  await cell('revoke', async () => {
    const { revocation } = await vault.disconnect(key);
    return revocation === 'revoked' ? 'ok' : revocation;
  });
  return cells;
}

/** Tells whether the simulator knows the product: it refuses a call without a token, and does not say that nothing is there. */
async function isSimulated(simulator: Simulator, definition: ProviderDefinition, dc: string): Promise<boolean> {
  const path = definition.api.health?.path;
  if (path === undefined) return false;
  const base = apiBase(definition, { dc, metadata: {} });
  const answer = await simulator.fetch(new Request(base + path)).catch(() => null);
  // 421: no server; 404: no such product.
  return answer !== null && ![404, 421].includes(answer.status) && answer.status < 500;
}

async function connect({ vault, simulator }: Stage, request: Parameters<Vault['authorize']>[0]): Promise<Cell> {
  const { url } = await vault.authorize(request);
  const consent = await simulator.fetch(new Request(url, { redirect: 'manual' }));
  const callback = consent.headers.get('location');
  if (callback === null) return `consent answered ${consent.status}`;
  await vault.completeAuthorization(callback);
  return 'ok';
}

async function call(
  { vault }: Stage,
  key: { tenant: string; provider: string },
  definition: ProviderDefinition,
): Promise<Cell> {
  const path = definition.api.health?.path;
  if (path === undefined) return 'none';
  const response = await vault.fetch(key, path);
  await response.body?.cancel();
  return response.ok ? 'ok' : `status ${response.status}`;
}

async function refresh(
  stage: Stage,
  key: { tenant: string; provider: string },
  definition: ProviderDefinition,
): Promise<Cell> {
  const before = await stage.vault.getAccessToken(key);
  stage.simulator.killAccessToken(before.accessToken);
  const found = await call(stage, key, definition);
  if (found !== 'ok') return found;
  const after = await stage.vault.getAccessToken(key);
  return after.generation === before.generation + 1 ? 'ok' : `generation ${after.generation}`;
}

async function organization(
  stage: Stage,
  key: { tenant: string; provider: string },
  { api }: ProviderDefinition,
): Promise<Cell> {
  const place = api.organization;
  if (place === undefined || api.health === undefined) return 'none';
  await stage.vault.updateMetadata(key, { org_id: orgId });
  const response = await stage.vault.fetch(key, api.health.path);
  await response.body?.cancel();
  const sent = stage.last();
  const named =
    place.in === 'header' ? sent?.headers.get(place.name) : new URL(sent?.url ?? '').searchParams.get(place.name);
  await stage.vault.updateMetadata(key, { org_id: null });
  return named === orgId ? 'ok' : `sent ${named ?? 'none'}`;
}

/** A grant without the scope: the health check names the one that is missing, and the grant lives on. */
async function missingScope(
  { vault, simulator }: Stage,
  key: { tenant: string; provider: string },
  app: string,
  definition: ProviderDefinition,
  dc: string,
): Promise<Cell> {
  if (definition.api.health === undefined) return 'none';
  const scopes = ['AaaServer.profile.READ'];
  const { refreshToken } = simulator.mintTokens({ clientId: demoClient.clientId, user: `user@${dc}.example`, scopes });
  const poor = { ...key, tenant: `${key.tenant}-poor` };
  await vault.storeTokens(poor, { app, refreshToken, scopes, metadata: { dc } });
  const health = await vault.health(poor);
  await vault.disconnect(poor);
  const isNamed = health.status === 'healthy' && health.missingScope === definition.api.health.scope;
  return isNamed ? 'ok' : health.status === 'healthy' ? 'not noticed' : said(health);
}

function said(health: Awaited<ReturnType<Vault['health']>>): Cell {
  return health.status === 'healthy' ? 'ok' : `${health.error}: ${health.message}`;
}

/** Names each failure: a cell that is not `ok`, `none` or `-`. */
export function failuresIn(rows: readonly Row[]): string[] {
  return rows.flatMap(({ product, dc, cells }) =>
    steps.flatMap((step) =>
      ['ok', 'none', '-'].includes(cells[step]) ? [] : [`${product} ${dc} ${step}: ${cells[step]}`],
    ),
  );
}
