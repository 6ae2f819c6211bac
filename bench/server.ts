/**
 * The server beside a bare baseline in one run: tokens beside a `node:http` server that sends the same bytes, the proxy
 * beside a pass-through on undici. `npm run bench:server`; exits 1 when an aim is missed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { withDatabases } from '../scripts/scratch-postgres.ts';
import { median } from './measure.ts';
import { type Aim, judge, table } from './report.ts';
import { benchHanging } from './server/hanging.ts';
import type { LoadOrder, LoadReport } from './server/load-process.ts';
import type { ServerOrder, Started, Usage } from './server/server-process.ts';

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 7);
const roundMs = Number(process.env['BENCH_ROUND_MS'] ?? 3_000);
const connections = 32;
const gibibyte = 1_024;
const here = import.meta.dirname;
const children: ChildProcess[] = [];

/** A server to measure: its port and the request it gets. */
interface Candidate {
  readonly name: string;
  readonly child: ChildProcess;
  readonly port: number;
  readonly request: string;
}

interface Round {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly cpuUs: number;
  readonly queries: number;
  readonly others: number;
}

function spawn(file: string): ChildProcess {
  const child = fork(join(here, 'server', file), {
    execArgv: process.env['BENCH_PROFILE'] === undefined ? [] : ['--cpu-prof'],
  });
  children.push(child);
  return child;
}

async function ask<Answer>(child: ChildProcess, message: object | string): Promise<Answer> {
  const answered = once(child, 'message');
  child.send(message);
  const [answer] = await answered;
  // Each process answers in the type that its file exports.
  return answer as Answer;
}

async function startChild(order: ServerOrder): Promise<{ child: ChildProcess; started: Started }> {
  const child = spawn('server-process.ts');
  return { child, started: await ask<Started>(child, order) };
}

async function measure(load: ChildProcess, { child, port, request }: Candidate, ms: number): Promise<Round> {
  const before = await ask<Usage>(child, 'usage');
  const report = await ask<LoadReport>(load, { port, request, connections, ms } satisfies LoadOrder);
  const after = await ask<Usage>(child, 'usage');
  return {
    perSecond: report.answers / report.seconds,
    p99Ms: report.p99Ms,
    cpuUs: ((after.cpuMs - before.cpuMs) * 1_000) / report.answers,
    queries: (after.queries - before.queries) / report.answers,
    others: report.others,
  };
}

interface Compared {
  readonly rate: number;
  readonly p99: number;
  readonly queries: number;
}

/** Measures the two once per round, in changing order; ratios are taken within a round, and the median counts. */
async function compare(load: ChildProcess, yardstick: Candidate, candidate: Candidate): Promise<Compared> {
  for (const each of [yardstick, candidate]) await measure(load, each, roundMs);
  const pairs: { yard: Round; own: Round }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? [yardstick, candidate] : [candidate, yardstick];
    const seen = new Map<Candidate, Round>();
    for (const each of order) seen.set(each, await measure(load, each, roundMs));
    const yard = seen.get(yardstick);
    const own = seen.get(candidate);
    if (yard !== undefined && own !== undefined) pairs.push({ yard, own });
  }
  const failed = pairs.reduce((sum, { yard, own }) => sum + yard.others + own.others, 0);
  if (failed > 0) throw new Error(`${failed} answers were not 200`);
  const rows = [yardstick, candidate].map(({ name }, at) => {
    const of = (pick: (round: Round) => number): number =>
      median(pairs.map((pair) => pick(at === 0 ? pair.yard : pair.own)));
    return [
      name,
      `${Math.round(of((r) => r.perSecond))}/s`,
      `${of((r) => r.cpuUs).toFixed(1)} µs`,
      `${of((r) => r.p99Ms).toFixed(2)} ms`,
    ];
  });
  process.stdout.write(`\n${table(['', 'rate', 'processor time per request', 'p99 at 32 connections'], rows)}\n`);
  const cpu = median(pairs.map(({ yard, own }) => yard.cpuUs / own.cpuUs));
  process.stdout.write(`\nratio by processor time: ${cpu.toFixed(2)}\n`);
  return {
    rate: median(pairs.map(({ yard, own }) => own.perSecond / yard.perSecond)),
    p99: median(pairs.map(({ yard, own }) => own.p99Ms / yard.p99Ms)),
    queries: median(pairs.map(({ own }) => own.queries)),
  };
}

function get(path: string, key: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nAccept: */*\r\n\r\n`;
}

const tokenPath = '/v1/tenants/acme/grants/bench/token';

async function benchTokens(
  load: ChildProcess,
  grantry: { child: ChildProcess; started: Started },
  database: string,
): Promise<Aim[]> {
  const { port, key } = grantry.started;
  const answer = await fetch(`http://127.0.0.1:${port}${tokenPath}`, { headers: { authorization: `Bearer ${key}` } });
  const body = await answer.text();
  const headers = {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-length': String(Buffer.byteLength(body)),
  };
  const bare = await startChild({ role: 'bare', headers, body });
  const request = get(tokenPath, key);
  const seen = await compare(
    load,
    { name: 'bare node:http', child: bare.child, port: bare.started.port, request },
    tokensOf(grantry, `GET …/token, ${database}`),
  );
  bare.child.kill();
  return [
    { what: `tokens, ${database}: rate beside bare node:http`, value: seen.rate, least: 0.7 },
    { what: `tokens, ${database}: p99 beside bare node:http`, value: seen.p99, most: 3 },
    // The change feed and the use records run in the background; their statements are spread over many reads.
    { what: `tokens, ${database}: statements per read`, value: seen.queries, most: 0.01 },
  ];
}

/** Hand-outs with the audit log beside hand-outs without it, on SQLite. */
async function benchAudit(load: ChildProcess, api: string): Promise<Aim[]> {
  const start = async (audit: 'batched' | 'strict' | 'none') => {
    const home = mkdtempSync(join(tmpdir(), 'grantry-bench-server-'));
    homes.push(home);
    return startChild({ role: 'grantry', home, database: `sqlite:${home}/grantry.db`, api, audit });
  };
  const without = tokensOf(await start('none'), 'without an audit log');
  const batched = await compare(load, without, tokensOf(await start('batched'), 'batched audit log'));
  const strict = await compare(load, without, tokensOf(await start('strict'), 'strict audit log'));
  process.stdout.write(`\nstrict beside none, by rate: ${strict.rate.toFixed(3)}\n`);
  return [{ what: 'tokens with the batched audit log beside those without', value: batched.rate, least: 0.9 }];
}

function tokensOf({ child, started: { port, key } }: { child: ChildProcess; started: Started }, name: string) {
  return { name, child, port, request: get(tokenPath, key) };
}

async function benchProxy(
  load: ChildProcess,
  grantry: { child: ChildProcess; started: Started },
  api: string,
): Promise<Aim[]> {
  const pass = await startChild({ role: 'pass', api });
  const { port, key } = grantry.started;
  const seen = await compare(
    load,
    { name: 'bare undici pass-through', child: pass.child, port: pass.started.port, request: get('/small', key) },
    { name: 'the proxy', child: grantry.child, port, request: get('/v1/proxy/acme/bench/small', key) },
  );
  pass.child.kill();
  return [{ what: 'proxy: rate beside a bare undici pass-through', value: seen.rate, least: 0.6 }];
}

/** Sends a body of a gibibyte each way and watches the memory. */
async function benchStreams({ child, started }: { child: ChildProcess; started: Started }): Promise<Aim[]> {
  const before = (await ask<Usage>(child, 'usage')).rssMb;
  let most = before;
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      most = Math.max(most, (await ask<Usage>(child, 'usage')).rssMb);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  const url = `http://127.0.0.1:${started.port}/v1/proxy/acme/bench`;
  const headers = { authorization: `Bearer ${started.key}` };
  const down = await new Promise<number>((resolve) => {
    http.get(`${url}/large?${gibibyte}`, { headers }, (answer) => {
      let bytes = 0;
      answer.on('data', (part: Buffer) => (bytes += part.length)).on('end', () => resolve(bytes));
    });
  });
  const up = await send(`${url}/swallow`, headers);
  over.abort();
  await watching;
  if (down !== gibibyte * 1_048_576 || up !== down) throw new Error(`${down} bytes came down, ${up} went up`);
  process.stdout.write(`\n1 GiB each way: ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most\n`);
  return [{ what: 'growth of memory over 1 GiB each way, in MB', value: most - before, most: 128 }];
}

function send(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const chunk = Buffer.alloc(1_048_576, 'x');
    const request = http.request(url, { method: 'POST', headers }, (answer) => {
      let text = '';
      answer.on('data', (part: Buffer) => (text += part.toString())).on('end', () => resolve(Number(text)));
    });
    request.on('error', reject);
    let sent = 0;
    const more = (): void => {
      while (sent < gibibyte) {
        sent += 1;
        if (!request.write(chunk)) return void request.once('drain', more);
      }
      request.end();
    };
    more();
  });
}

const only = process.argv[2];
const aims: Aim[] = [];
const homes: string[] = [];
try {
  const load = spawn('load-process.ts');
  const apiServer = await startChild({ role: 'api' });
  const api = `http://127.0.0.1:${apiServer.started.port}`;
  await withDatabases(async (name, fresh) => {
    if (name !== 'sqlite' && only === 'sqlite') return;
    const home = mkdtempSync(join(tmpdir(), 'grantry-bench-server-'));
    homes.push(home);
    const given = await fresh();
    const database = given === 'sqlite' ? `sqlite:${home}/grantry.db` : given;
    const grantry = await startChild({ role: 'grantry', home, database, api });
    aims.push(...(await benchTokens(load, grantry, name)));
    aims.push(...(await benchHanging(grantry.started, (ms) => measure(load, tokensOf(grantry, name), ms), name)));
    if (name === 'sqlite') {
      aims.push(...(await benchAudit(load, api)));
      aims.push(...(await benchProxy(load, grantry, api)), ...(await benchStreams(grantry)));
    }
    grantry.child.kill('SIGINT');
  });
} finally {
  for (const child of children) child.kill();
  for (const home of homes) rmSync(home, { recursive: true, force: true });
}
process.stdout.write(
  `\nload ${loadavg()
    .map((each) => each.toFixed(1))
    .join(' ')}\n`,
);
process.exitCode = judge(aims) ? 0 : 1;
