/**
 * The trouble of some grants, and the refreshes of all others in the same process, in real time. Rounds with and without
 * trouble take turns. The figure is the p99 of a refresh with trouble, divided by the p99 of the round before it.
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { withDatabases } from '../scripts/scratch-postgres.ts';
import { openVault, startWorkers, type Vault } from '../src/index.ts';
import { median, percentile } from './measure.ts';
import { type Aim, table } from './report.ts';

const pairs = 5;
const refreshesPerRound = 120;
const atOnce = 4;
const answerMs = 20;
/** The pause of a caller in trouble; Grantry asks for at least as much. */
const retryMs = 1_000;
/** Grants of each kind of trouble, whose callers ask again and again. */
const troubled = 12;

export async function benchNeighbours(): Promise<Aim[]> {
  const rows: string[][] = [];
  const aims: Aim[] = [];
  await withDatabases(async (name, fresh) => {
    const { calm, disturbed, failures } = await measure(await fresh());
    const ratio = median(disturbed.map((p99, pair) => p99 / (calm[pair] ?? Number.NaN)));
    rows.push([
      name,
      `${median(calm).toFixed(1)} ms`,
      `${median(disturbed).toFixed(1)} ms`,
      ratio.toFixed(2),
      failures,
    ]);
    aims.push({
      what: `p99 of a refresh beside grants in trouble, against undisturbed, ${name}`,
      value: ratio,
      most: 1.5,
    });
  });
  const head = [
    `${pairs} pairs of ${refreshesPerRound} refreshes`,
    'p99 calm',
    'p99 beside',
    'ratio',
    'calls in trouble',
  ];
  process.stdout.write(`\n${table(head, rows)}\n`);
  return aims;
}

async function measure(database: string): Promise<{ calm: number[]; disturbed: number[]; failures: string }> {
  const provider = createServer(answer);
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const home = mkdtempSync(path.join(tmpdir(), 'grantry-bench-'));
  try {
    await using vault = await vaultFor(home, database, originOf(provider));
    await using workers = startWorkers(vault);
    let next = 0;
    const round = async (): Promise<number> => {
      const first = next;
      next += refreshesPerRound;
      const tenants = Array.from({ length: refreshesPerRound }, (_, index) => `tenant-${first + index}`);
      await Promise.all(tenants.map((tenant) => store(vault, tenant)));
      return p99Of(vault, first);
    };
    await round();
    const calm: number[] = [];
    const disturbed: number[] = [];
    let failures = 0;
    for (let pair = 0; pair < pairs; pair += 1) {
      calm.push(await round());
      const end = await makeTrouble(vault, database, home, pair);
      disturbed.push(await round());
      failures += await end();
      process.stderr.write(`\r  pair ${pair + 1} of ${pairs}`);
    }
    await workers.stop();
    process.stderr.write('\r                 \r');
    return { calm, disturbed, failures: `${failures}` };
  } finally {
    provider.close();
    provider.closeAllConnections();
    rmSync(home, { recursive: true, force: true });
  }
}

/** Refreshes grants that no other round has used, a few at once. */
async function p99Of(vault: Vault, first: number): Promise<number> {
  const times: number[] = [];
  const indexes = Array.from({ length: refreshesPerRound }, (_, index) => first + index).values();
  const caller = async (): Promise<void> => {
    for (const index of indexes) {
      const started = performance.now();
      const { generation } = await vault.getAccessToken({ tenant: `tenant-${index}`, provider: 'good' });
      if (generation !== 2) throw new Error(`generation ${generation} after one refresh`);
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, caller));
  return percentile(times, 0.99);
}

/** Begins all kinds of trouble at once. Ends them when called, and returns how many calls were in trouble. */
async function makeTrouble(vault: Vault, database: string, home: string, pair: number): Promise<() => Promise<number>> {
  const stop = new AbortController();
  let calls = 0;
  isHanging = true;
  const asking: Promise<void>[] = [];
  const ask = (call: () => Promise<unknown>): void => {
    asking.push(
      (async () => {
        while (!stop.signal.aborted) {
          calls += 1;
          await call().catch(() => {});
          await sleep(retryMs);
        }
      })(),
    );
  };
  const stuck = { tenant: `stuck-${pair}`, provider: 'good' };
  await store(vault, stuck.tenant);
  const release = await lockRow(database, stuck.tenant);
  if (release !== undefined) {
    ask(() => vault.getAccessToken(stuck));
    // More writers than the pool has connections.
    for (let writer = 0; writer < troubled; writer += 1) ask(() => vault.updateMetadata(stuck, { writer }));
  }
  for (let index = 0; index < troubled; index += 1) {
    const broken = { tenant: `broken-${pair}-${index}`, provider: 'good' };
    await store(vault, broken.tenant, { app: 'broken' });
    ask(() => vault.getAccessToken(broken));
    const waiting = { tenant: `waiting-${pair}-${index}`, provider: 'hanging' };
    await store(vault, waiting.tenant, { app: 'hanging', provider: 'hanging' });
    ask(() => vault.getAccessToken(waiting));
  }
  const refused = { tenant: `refused-${pair}`, provider: 'good' };
  await store(vault, refused.tenant);
  ask(() => vault.getAccessToken(refused));
  spoilSpool(home, pair);
  return async () => {
    stop.abort();
    await release?.();
    isHanging = false;
    for (const response of hanging.splice(0)) response.destroy();
    await Promise.all(asking);
    return calls;
  };
}

/** Holds the row of a tenant as another program may. SQLite has no such lock. */
async function lockRow(database: string, tenant: string): Promise<(() => Promise<void>) | undefined> {
  if (database === 'sqlite') return undefined;
  const client = new Client({ connectionString: database });
  await client.connect();
  await client.query(`begin; select from oauth_tokens where client_id = '${tenant}' for update`);
  return () => client.end();
}

/** Leaves answers in the spool that cannot be read: one that is no answer, and one that is a directory. */
function spoilSpool(home: string, pair: number): void {
  const grant = `0190a000-0000-7000-8000-${String(pair).padStart(12, '0')}`;
  writeFileSync(path.join(home, 'spool', `${grant}.${grant}.answer`), 'no answer', { mode: 0o600 });
  mkdirSync(path.join(home, 'spool', `${grant.replace('0190a', '0190b')}.${grant}.answer`));
}

const hanging: ServerResponse[] = [];
let isHanging = false;
let issued = 0;

/** The token endpoints: `/hanging/token` does not answer, and the app `broken` has a wrong secret. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  let body = '';
  request.on('data', (part: Buffer) => {
    body += part.toString();
  });
  request.once('end', () => {
    if (request.url?.startsWith('/hanging') === true) {
      if (isHanging) hanging.push(response);
      else response.destroy();
      return;
    }
    setTimeout(() => {
      issued += 1;
      response.setHeader('content-type', 'application/json');
      const isBroken = body.includes('client_id=broken');
      if (isBroken) response.statusCode = 401;
      const tokens = {
        access_token: `a-${issued}`,
        refresh_token: `r-${issued}`,
        expires_in: 3600,
        token_type: 'Bearer',
      };
      response.end(JSON.stringify(isBroken ? { error: 'invalid_client' } : tokens));
    }, answerMs);
  });
}

async function vaultFor(home: string, database: string, origin: string): Promise<Vault> {
  const vault = await openVault({
    home,
    database: database === 'sqlite' ? `sqlite:${home}/grantry.db` : database,
    rootKey: `file:${home}/root.key`,
    spool: path.join(home, 'spool'),
    unsafeAllowLoopbackProviders: 'a token endpoint on this machine is measured',
    providers: ['good', 'hanging'].map((id) => ({
      id,
      endpoints: { token: `${origin}/${id}/token` },
      api: { hosts: [origin] },
      refreshToken: { rotation: 'strict' as const },
    })),
  });
  for (const app of ['good', 'broken']) {
    await vault.apps.put(app, { provider: 'good', clientId: app, clientSecret: 'bench-secret' });
  }
  await vault.apps.put('hanging', { provider: 'hanging', clientId: 'hanging', clientSecret: 'bench-secret' });
  await refuseCommits(database, home);
  return vault;
}

/** Makes the database refuse the new tokens of tenants named `refused-…`. */
async function refuseCommits(database: string, home: string): Promise<void> {
  if (database === 'sqlite') {
    const { DatabaseSync } = await import('node:sqlite');
    const file = new DatabaseSync(`${home}/grantry.db`);
    file.exec(`create trigger refuse before update of generation on oauth_tokens
      when new.client_id like 'refused-%' and new.generation > 1 begin select raise(abort, 'no'); end`);
    file.close();
    return;
  }
  const client = new Client({ connectionString: database });
  await client.connect();
  await client.query(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
    create constraint trigger refuse after update on oauth_tokens deferrable initially deferred for each row
      when (new.client_id like 'refused-%' and new.generation > 1) execute function refuse()`);
  await client.end();
}

async function store(vault: Vault, tenant: string, { app = 'good', provider = 'good' } = {}): Promise<void> {
  await vault.storeTokens({ tenant, provider }, { app, refreshToken: `refresh-${tenant}` });
}

function originOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the token endpoint has no port');
  return `http://127.0.0.1:${address.port}`;
}
