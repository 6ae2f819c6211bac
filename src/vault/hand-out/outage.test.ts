/** Hand-out while the database is away, with the provider's definition stored in it. */
import { renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, settled, until, whileLocked } from '../../../test/support/bench.ts';
import { outages, Wire } from '../../../test/support/wire.ts';
import type { GrantKey } from '../../base/ids.ts';
import { OAuthTokenService } from '../../index.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';

const minute = 60_000;

/** Far less than the driver's time-outs of 10 s and more, and enough for a busy machine. */
const atOnceMs = 3_000;

async function timed<T>(run: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await run();
  expect(performance.now() - startedAt).toBeLessThan(atOnceMs);
  return result;
}

/** A vault whose only definition is in the database, and a grant whose token is in memory. */
async function opened(
  bench: Bench,
  database = bench.database,
  world = bench.world(),
): Promise<{ vault: Vault; key: GrantKey }> {
  const { vault } = await bench.open({ database, providers: [], world });
  await vault.providers.put(bench.simulator.definition('strict'));
  const { key } = await bench.connect(vault, { expiresIn: 3_600 });
  const api = await vault.fetch(key, '/api/organization');
  expect(api.status).toBe(200);
  await until(async () => {
    await vault.getAccessToken(key);
    await settled(2);
    return internalsOf(vault).handOut.held(key) !== undefined;
  }, 'the token in memory');
  return { vault, key };
}

describe.each(outages)('when PostgreSQL goes away (%s)', (outage) => {
  it('memory hands out at once for 5 minutes, then the database is missed', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    await using wire = await Wire.to(bench.database);
    const { vault, key } = await opened(bench, wire.database);
    const service = new OAuthTokenService(vault);
    await wire.lose(outage);
    // The clock of the processes only: the database is away.
    bench.clock.jump(5_000);
    const before = bench.requests().length;
    for (let passed = 0; passed < 4; passed += 1) {
      expect((await timed(() => vault.getAccessToken(key))).generation).toBe(1);
      expect((await timed(() => vault.getAccessToken(key, { minValidity: 3_500 }))).generation).toBe(1);
      expect((await timed(() => vault.fetch(key, '/api/organization'))).status).toBe(200);
      const { clientId, secret = '' } = demoClient;
      await timed(() => service.getAccessToken('acme', 'strict', { clientId, clientSecret: secret }));
      // A refresh needs the database, so the report of a rejected token gets the error.
      expect(await timed(() => codeOf(vault.rejectAccessToken(key, 1)))).toBe('storage_unavailable');
      bench.clock.jump(minute);
    }
    bench.clock.jump(2 * minute);
    expect(await timed(() => codeOf(vault.getAccessToken(key)))).toBe('storage_unavailable');
    expect(bench.requests()).toHaveLength(before);
    wire.mend();
    bench.clock.jump(2_000);
    await until(async () => {
      bench.clock.jump(2_000);
      return vault.getAccessToken(key).then(
        () => true,
        () => false,
      );
    }, 'the database');
  });
});

it('a token near its end is handed out while the database is away', async () => {
  await using bench = await makeBench({ kind: 'postgres' });
  await using wire = await Wire.to(bench.database);
  const { vault, key } = await opened(bench, wire.database);
  await bench.jump(56 * minute);
  await until(async () => {
    await vault.getAccessToken(key);
    await settled(2);
    return internalsOf(vault).handOut.held(key)?.generation === 2;
  }, 'the refreshed token in memory');
  await bench.jump(56 * minute);
  await wire.lose('swallow');
  // Less than the minute that a caller asks for, and as much as a busy machine may need until then.
  bench.clock.jump(3 * minute + 5_000);
  expect((await timed(() => vault.getAccessToken(key))).generation).toBeGreaterThan(1);
});

describe('on SQLite', () => {
  it('a locked database holds up no hand-out', async () => {
    await using bench = await makeBench();
    const { vault, key } = await opened(bench);
    await whileLocked(bench, async () => {
      for (let passed = 0; passed < 4; passed += 1) {
        bench.clock.jump(5_000);
        expect((await timed(() => vault.getAccessToken(key))).generation).toBe(1);
        expect((await timed(() => vault.fetch(key, '/api/organization'))).status).toBe(200);
      }
    });
  });

  it('a file that vanished holds up no hand-out', async () => {
    await using bench = await makeBench();
    const { vault, key } = await opened(bench);
    const directory = dirname(bench.database.slice('sqlite:'.length));
    renameSync(directory, `${directory}.away`);
    try {
      for (let passed = 0; passed < 4; passed += 1) {
        bench.clock.jump(5_000);
        expect((await timed(() => vault.getAccessToken(key))).generation).toBe(1);
        expect((await timed(() => vault.fetch(key, '/api/organization'))).status).toBe(200);
      }
    } finally {
      renameSync(`${directory}.away`, directory);
    }
  });
});

it('a disconnect that this process saw counts while the database is away', async () => {
  await using bench = await makeBench({ kind: 'postgres' });
  await using wire = await Wire.to(bench.database);
  const { vault, key } = await opened(bench, wire.database);
  await vault.disconnect(key, { revoke: false });
  await wire.lose('reset');
  bench.clock.jump(5_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('storage_unavailable');
});

it('hand-out from memory ends after 5 minutes also when the clock of this host is set back', async () => {
  await using bench = await makeBench({ kind: 'postgres' });
  await using wire = await Wire.to(bench.database);
  const { vault: other } = await bench.open();
  const world = bench.world();
  const { vault, key } = await opened(bench, wire.database, world);
  await wire.lose('reset');
  world.skewMs = -30 * minute;
  bench.clock.jump(5_000);
  expect((await vault.getAccessToken(key)).generation).toBe(1);
  await other.disconnect(key, { revoke: false });
  bench.clock.jump(6 * minute);
  expect(await timed(() => codeOf(vault.getAccessToken(key)))).toBe('storage_unavailable');
});

it('a database that comes back for a moment takes no token from memory, and each is read again', async () => {
  await using bench = await makeBench({ kind: 'postgres' });
  await using wire = await Wire.to(bench.database);
  const { vault: other } = await bench.open();
  const { vault, key } = await opened(bench, wire.database);
  const { key: ended } = await bench.connect(other, { tenant: 'ended', expiresIn: 3_600 });
  // The end of a transaction that was in progress at the first poll, of any test on this server, empties the memory.
  const edge = async (side: 'xmin' | 'xmax'): Promise<bigint> => {
    const asked = sql<{ xid: string }>`select ${sql.raw(`pg_snapshot_${side}`)}(pg_current_snapshot())::text as xid`;
    return BigInt((await asked.execute(bench.judge.db)).rows[0]?.xid ?? '0');
  };
  const begun = await edge('xmax');
  await until(async () => (await edge('xmin')) >= begun, 'the end of the transactions of the first poll');
  const { handOut, open } = internalsOf(vault);
  const { reach } = open();
  let polls = 0;
  await until(async () => {
    bench.clock.jump(2_000);
    await settled(2);
    polls += 1;
    await Promise.all([vault.getAccessToken(key), vault.getAccessToken(ended)]);
    return polls > 3 && [key, ended].every((each) => handOut.held(each) !== undefined);
  }, 'the tokens in memory');
  await wire.lose('reset');
  await until(async () => {
    bench.clock.jump(2_000);
    await vault.getAccessToken(key);
    return reach.isAway;
  }, 'the outage');
  await other.disconnect(ended, { revoke: false });
  wire.mend();
  await until(async () => {
    bench.clock.jump(2_000);
    await settled(2);
    return !reach.isAway;
  }, 'the poll of a database that is back');
  await wire.lose('reset');
  bench.clock.jump(5_000);
  expect((await timed(() => vault.getAccessToken(key))).generation).toBe(1);
  expect(await timed(() => codeOf(vault.getAccessToken(ended)))).toBe('storage_unavailable');
});

it('a disconnect in another process counts once a report has met it, also in an outage that begins then', async () => {
  await using bench = await makeBench({ kind: 'postgres' });
  await using wire = await Wire.to(bench.database);
  const { vault: other } = await bench.open();
  const { vault, key } = await opened(bench, wire.database);
  await other.disconnect(key, { revoke: false });
  // Before the next poll of the change feed.
  expect(await codeOf(vault.rejectAccessToken(key, 1))).toBe('grant_not_found');
  await wire.lose('reset');
  expect(await codeOf(vault.getAccessToken(key))).toBe('storage_unavailable');
});

it('a provider that was unknown before an outage is not called unknown during it', async () => {
  await using bench = await makeBench({ kind: 'postgres', profiles: ['strict', 'none'] });
  await using wire = await Wire.to(bench.database);
  const { vault } = await opened(bench, wire.database);
  const later = { tenant: 'acme', provider: 'none' };
  expect(await codeOf(vault.fetch(later, '/api/organization'))).toBe('not_found');
  await wire.lose('reset');
  bench.clock.jump(2 * minute);
  expect(await codeOf(vault.fetch(later, '/api/organization'))).toBe('storage_unavailable');
});
