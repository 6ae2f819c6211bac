/**
 * A durable refresh: the caller waits for the provider's answer, the spool's flush and the database's. The provider is
 * a token endpoint on this machine with a fixed delay, like a provider across the network.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { openVault, type Vault } from '../src/index.ts';
import { median, percentile } from './measure.ts';
import { type Aim, rateText, table } from './report.ts';

const answerMs = 100;
const oneByOne = 60;
const together = 400;

export async function benchRefresh(): Promise<Aim[]> {
  const provider = createServer(answer);
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const home = mkdtempSync(path.join(tmpdir(), 'grantry-bench-'));
  try {
    await using vault = await vaultFor(home, originOf(provider));
    await expiredGrants(vault, oneByOne + together);
    const bare = await bareRequests(originOf(provider));
    const single: number[] = [];
    for (let index = 0; index < oneByOne; index += 1) single.push(await timed(() => refresh(vault, index)));
    const wholeMs = await timed(() =>
      Promise.all(Array.from({ length: together }, (_, index) => refresh(vault, oneByOne + index))),
    );
    const ratio = median(single) / median(bare);
    const rows = [
      ['only the provider, a new connection each', ms(median(bare)), ms(percentile(bare, 0.95)), '1.00'],
      ['grantry, rotation strict, SQLite', ms(median(single)), ms(percentile(single, 0.95)), ratio.toFixed(2)],
    ];
    process.stdout.write(`\n${table([`refresh, answer after ${answerMs} ms`, 'median', 'p95', 'ratio'], rows)}\n`);
    process.stdout.write(`${together} grants at once: ${rateText((together * 1000) / wholeMs)}\n`);
    return [{ what: 'wait for a refresh against the provider’s answer time', value: ratio, most: 1.3 }];
  } finally {
    provider.close();
    provider.closeAllConnections();
    rmSync(home, { recursive: true, force: true });
  }
}

let issued = 0;

const answer: Parameters<typeof createServer>[1] = (request, response) => {
  request.resume();
  request.once('end', () => {
    setTimeout(() => {
      issued += 1;
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          access_token: `a-${issued}`,
          refresh_token: `r-${issued}`,
          expires_in: 3600,
          token_type: 'Bearer',
        }),
      );
    }, answerMs);
  });
};

async function vaultFor(home: string, origin: string): Promise<Vault> {
  const vault = await openVault({
    home,
    database: `sqlite:${home}/grantry.db`,
    rootKey: `file:${home}/root.key`,
    unsafeAllowLoopbackProviders: 'a token endpoint on this machine is measured',
    providers: [
      {
        id: 'bench',
        endpoints: { token: `${origin}/token` },
        api: { hosts: [origin] },
        refreshToken: { rotation: 'strict' },
      },
    ],
  });
  await vault.apps.put('bench', { provider: 'bench', clientId: 'bench', clientSecret: 'bench-secret' });
  return vault;
}

async function expiredGrants(vault: Vault, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await vault.storeTokens(keyOf(index), { app: 'bench', refreshToken: `refresh-${index}` });
  }
}

async function refresh(vault: Vault, index: number): Promise<void> {
  const { generation } = await vault.getAccessToken(keyOf(index));
  if (generation !== 2) throw new Error(`generation ${generation} after one refresh`);
}

async function bareRequests(origin: string): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < oneByOne; index += 1) {
    times.push(
      await timed(async () => {
        const headers = { connection: 'close', 'content-type': 'application/x-www-form-urlencoded' };
        const response = await fetch(`${origin}/token`, { method: 'POST', headers, body: 'grant_type=refresh_token' });
        await response.json();
      }),
    );
  }
  return times;
}

function keyOf(index: number): { tenant: string; provider: string } {
  return { tenant: `tenant-${index}`, provider: 'bench' };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function originOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the token endpoint has no port');
  return `http://127.0.0.1:${address.port}`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
