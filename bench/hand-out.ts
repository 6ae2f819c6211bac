/**
 * Measures reads of a valid token from memory among 100,000 grants: Grantry, the libraries in use today, and an awaited
 * function that composes the same key and looks into a `Map`. It also measures the first read of each grant from
 * SQLite, sealed.
 */
import { setImmediate as turn } from 'node:timers/promises';

import { accessTokenOf, type BenchKey, benchKey, type Contender, composeKey, lifetimeSeconds } from './contender.ts';
import { coldReads, openedVault, vaultContender } from './grantry.ts';
import { type Candidate, measureInTurns, percentile, processorClock } from './measure.ts';
import { type Aim, rateText, table } from './report.ts';

const grants = Number(process.env['BENCH_GRANTS'] ?? 100_000);
const callsPerTurn = 500;
const msalGrants = Math.min(grants, 1_000);

/** Measures, prints the table, and returns the aims. */
export async function benchHandOut(): Promise<Aim[]> {
  await using vault = await openedVault(grants);
  const cold = await coldReads(vault, keysInAnyOrder(grants));
  const contenders = [baseline(), vaultContender(vault, grants), ...(await peers())];
  const measured = await measureInTurns(contenders.map(candidate), { rounds: 15, roundMs: 150, clock: processorClock });
  const rows = measured.map(({ name, perSecond, ratio }, index) => {
    const { grants: held = 0, note = '' } = contenders[index] ?? {};
    return [name, held.toLocaleString('en'), rateText(perSecond), ratio.toFixed(3), note];
  });
  process.stdout.write(
    `\n${table(['hand-out of a valid token, by processor time', 'grants', 'rate', 'ratio', 'how'], rows)}\n`,
  );
  const [middle, late] = [percentile(cold, 0.5).toFixed(0), percentile(cold, 0.99).toFixed(0)];
  process.stdout.write(`\ncold read (SQLite, unsealing) of ${grants} grants: median ${middle} µs, p99 ${late} µs\n`);
  return [{ what: 'hand-out against a bare Map', value: measured[1]?.ratio ?? Number.NaN, least: 0.5 }];
}

/** The yardstick: the work that every store of tokens by tenant, provider and account has to do. */
function baseline(): Contender {
  const held = new Map<string, { accessToken: string; expiresAt: number }>();
  for (let index = 0; index < grants; index += 1) {
    const key = benchKey(index);
    held.set(composeKey(key), { accessToken: accessTokenOf(key), expiresAt: Date.now() + lifetimeSeconds * 1000 });
  }
  return {
    name: 'Map and expiry test',
    grants,
    note: 'an awaited function that composes the key and looks it up',
    async token(key) {
      const found = held.get(composeKey(key));
      if (found === undefined || found.expiresAt - 60_000 <= Date.now()) throw new Error('no token');
      return found.accessToken;
    },
  };
}

async function peers(): Promise<Contender[]> {
  return [
    await peer('google-auth-library', 'googleAuthLibrary', grants),
    await peer('simple-oauth2', 'simpleOauth2', grants),
    await peer('oauth-connector', 'oauthConnector', grants),
    await peer('msal-node', 'msalNode', msalGrants),
  ];
}

/** Not imported above: the first run installs the peers, and their types are checked separately. */
async function peer(file: string, make: string, held: number): Promise<Contender> {
  process.stderr.write(`  preparing ${file}\n`);
  const module: Record<string, (grants: number) => Promise<Contender>> = await import(`./peers/${file}.ts`);
  const contender = await module[make]?.(held);
  if (contender === undefined) throw new Error(`bench/peers/${file}.ts has no ${make}`);
  return contender;
}

function candidate({ name, grants: held, token }: Contender): Candidate {
  const keys = keysInAnyOrder(held);
  let next = 0;
  return {
    name,
    async run(count) {
      let length = 0;
      for (let done = 0; done < count; done += 1) {
        const key = keys[next];
        next = (next + 1) % keys.length;
        // A loop over settled promises would starve timers and sockets, which no server does.
        if (done % callsPerTurn === 0) await turn();
        if (key !== undefined) length += (await token(key)).length;
      }
      if (length < count * 8) throw new Error(`${name} handed out something that is no token`);
    },
  };
}

/** Lists all keys in an order that is equal in each run and independent of their creation. */
function keysInAnyOrder(count: number): BenchKey[] {
  const keys = Array.from({ length: count }, (_, index) => benchKey(index));
  let state = 0x2545f491;
  for (let last = keys.length - 1; last > 0; last -= 1) {
    // Xorshift: 32 bits are enough for a shuffle.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % (last + 1);
    const [a, b] = [keys[last], keys[other]];
    if (a !== undefined && b !== undefined) [keys[last], keys[other]] = [b, a];
  }
  return keys;
}
