/**
 * Tests an attacker that can write the database, and has no key. Per table: every column of the real schema gets what the attacker
 * likes, and then the vault is used. Nothing leaves, the row is named, and its neighbours go on.
 */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Dice } from '../../lab/dice.ts';
import type { Row, Value } from '../../lab/tamper/attacker.ts';
import { type Flows, startFlows } from '../../lab/tamper/flows.ts';
import { forger, Place } from '../../lab/tamper/place.ts';
import { attackersKey, hostileValues, randomValue } from '../../lab/tamper/values.ts';
import { isGrantryError } from '../../src/base/errors.ts';
import type { Vault } from '../../src/index.ts';
import { rowName } from '../../src/storage/canonical-row.ts';
import { firstProtectedTables, type ProtectedTable, protectedTables } from '../../src/storage/protected-tables.ts';
import { findApiKey, hashApiKey } from '../../src/vault/api-keys.ts';
import { listConnectSessionsOf } from '../../src/vault/connect/sessions.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';

const seed = randomInt(2 ** 31);

describe.each(['sqlite', 'postgres'] as const)('a writer of the database, on %s', (kind) => {
  let scratch: { database: string; drop: () => Promise<void> };
  let place: Place;
  let flows: Flows;

  beforeAll(async () => {
    scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    place = await Place.start(scratch.database, { workers: false });
    flows = await startFlows(place);
  });

  afterAll(async () => {
    await place[Symbol.asyncDispose]();
    await scratch.drop();
  });

  test.each(firstProtectedTables)(`gains nothing by any column of %s, seed ${seed}`, async (table) => {
    const { attacker } = place;
    const dice = new Dice(seed);
    const before = await victimOf(table);
    await using other = await place.reopen();
    let written = 0;
    for (const column of await attacker.columns(table)) {
      const others = await attacker.rows(table);
      const picked = (kind === 'sqlite' ? [1, 2, 3] : [1]).map(() => dice.pick(hostileValues(column)) ?? null);
      const random = randomValue(dice, column, before, others);
      let isFirst = true;
      for (const value of new Set([...picked, random])) {
        if (value === before[column.name]) continue;
        const after = { ...before, [column.name]: value };
        await makeStale(place, table);
        if (!(await attacker.replace(table, before, after))) continue;
        written += 1;
        const what = `${table}.${column.name} = ${String(value)}`;
        const rule = protectedTables[table].columns[column.name];
        const isHarmless = typeof rule === 'object' || isSameJson(before[column.name], value);
        expect((await place.altered()).includes(rowName(table, after)), what).toBe(!isHarmless);
        if (!isHarmless) await expectNothingGained(place, { vault: other, flows, table, what });
        if (!isHarmless && isFirst) await expectNeighbours(other, table, { after, what });
        isFirst = false;
        expect(await attacker.replace(table, after, before), what).toBe(true);
      }
    }
    expect(written).toBeGreaterThan(kind === 'sqlite' ? 8 : 2);
    expect([...place.hosts.violations]).toEqual([]);
    expect(place.hosts.foreignRequests).toBe(0);
    expect(await place.altered()).toEqual([]);
  });

  test('gains nothing by rows of another key, of another id, or with the MAC of another row', async () => {
    const { attacker } = place;
    await using vault = await place.reopen();
    for (const table of firstProtectedTables) {
      const one = await victimOf(table);
      const other = (await attacker.rows(table)).find((row) => row['mac'] !== one['mac']);
      const key = protectedTables[table].key.at(-1) ?? '';
      // Free of the values that are unique.
      const unique = { key_hash: hashApiKey(attackersKey), name: 'copied', context: 'copied' };
      const renamed = Object.fromEntries(Object.entries(unique).filter(([name]) => name in one && name !== key));
      const copy = { ...one, ...renamed, [key]: 'copied' };
      for (const [after, replaced] of [
        [copy, null],
        [{ ...one, [key]: 'copied' }, one],
        [{ ...one, mac: other?.['mac'] ?? 'grm1.1.' }, one],
        [{ ...one, mac: null }, one],
      ] as const) {
        await makeStale(place, table);
        expect(await attacker.replace(table, replaced, after), table).toBe(true);
        expect(await place.altered(), table).toContain(rowName(table, after));
        // A copy leaves the true row in use.
        if (replaced !== null) await expectNothingGained(place, { vault, flows, table, what: table });
        await expectNeighbours(vault, table, { after, what: table });
        expect(await attacker.replace(table, after, replaced), table).toBe(true);
      }
    }
    expect([...place.hosts.violations]).toEqual([]);
    expect(await place.altered()).toEqual([]);
  });

  test('is no administrator at the server with a key of its own, and the log says so once', async () => {
    const { attacker } = place;
    const admin = (await attacker.rows('grantry_api_keys')).find((row) => row['role'] === 'admin');
    if (admin === undefined) throw new Error('there is no admin key');
    const forged = { ...admin, id: 'forged', name: 'forged', key_hash: hashApiKey(flows.forgedKey) };
    expect(await attacker.replace('grantry_api_keys', null, forged)).toBe(true);
    const holder = { ...forger, key: flows.forgedKey };
    for (let tries = 0; tries < 3; tries += 1) {
      expect((await place.call('GET', '/v1/tenants/acme/grants/none/token', { holder })).status).toBe(401);
    }
    expect(place.logged.filter((line) => line.includes('grantry_api_keys forged'))).toHaveLength(1);
    expect(place.logged.join('\n')).not.toContain(hashApiKey(flows.forgedKey));
    // Lists still show the others, and mark this one.
    const listed = await place.call('GET', '/v1/keys', { holder: place.holder('admin') });
    const items: { name: string; integrity_failed?: true; role: string }[] = JSON.parse(listed.text).items;
    expect(items.filter((item) => item.integrity_failed === true)).toMatchObject([{ name: 'forged', role: 'caller' }]);
    expect(items.length).toBeGreaterThan(4);
    // An administrator gets rid of it by name. The row stays, revoked, so that every server hears of it.
    await place.vault.keys.revoke('forged');
    const revoked = (await attacker.rows('grantry_api_keys')).find((row) => row['id'] === 'forged') ?? null;
    expect(revoked?.['revoked_at']).not.toBeNull();
    expect((await place.vault.keys.list()).map(({ name }) => name)).not.toContain('forged');
    // Its MAC covers the revocation.
    expect(await attacker.replace('grantry_api_keys', revoked, { ...revoked, revoked_at: null })).toBe(true);
    expect((await place.call('GET', '/v1/tenants/acme/grants/none/token', { holder })).status).toBe(401);
    await expect(place.vault.keys.update('forged', { expiresAt: null })).rejects.toMatchObject({
      code: 'integrity_failed',
    });
  });

  async function victimOf(table: ProtectedTable): Promise<Row> {
    const rows = await place.attacker.rows(table);
    return rows.find((row) => flows.isVictim(table, row)) ?? expect.unreachable('the row is missing');
  }
});

/** Uses everything that an altered row could open, in a process that has no such row in memory. */
async function expectNothingGained(
  place: Place,
  { vault, flows, table, what }: { vault: Vault; flows: Flows; table: ProtectedTable; what: string },
): Promise<void> {
  const before = place.hosts.requests;
  const context = internalsOf(vault).open();
  switch (table) {
    case 'grantry_providers': {
      await using fresh = await place.reopen();
      await fresh.getAccessToken({ tenant: 'acme', provider: 'none' }).catch(expectRefusal);
      break;
    }
    case 'grantry_apps':
      await vault.getAccessToken({ tenant: 'acme', provider: 'none' }).catch(expectRefusal);
      break;
    case 'grantry_api_keys':
      for (const key of [flows.victimKey, flows.forgedKey, attackersKey]) {
        expect(await findApiKey(context, hashApiKey(key)), what).toBeNull();
      }
      break;
    case 'grantry_connect_sessions':
      await flows.trySession(vault, what);
      break;
    case 'grantry_authorizations':
      await flows.tryAuthorization(vault, what);
      break;
    default:
      // The tables of the audit log have tests of their own: nothing leaves the vault by them.
      expect.unreachable(table);
  }
  expect(place.hosts.requests, what).toBe(before);
}

/** Refreshes a grant next door, and reads the lists: they show the others, and mark the altered row. */
async function expectNeighbours(
  vault: Vault,
  table: ProtectedTable,
  { after, what }: { after: Row; what: string },
): Promise<void> {
  const next = await vault.getAccessToken({ tenant: 'initech', provider: 'retire_on_use' });
  expect(next.generation, what).toBeGreaterThan(1);
  const lists = [await vault.apps.list(), await vault.keys.list(), await vault.providers.list()];
  const marked = lists.flat().filter((each) => each.integrityFailed === true).length;
  const isListed = ['grantry_apps', 'grantry_api_keys', 'grantry_providers'].includes(table);
  if (isListed && (after['revoked_at'] ?? null) === null) expect(marked, what).toBe(1);
  expect(lists[0]?.length, what).toBeGreaterThan(1);
  const sessions = await listConnectSessionsOf(internalsOf(vault).open());
  expect(sessions.items.length, what).toBeGreaterThan(1);
}

/** The next callers of these grants need a refresh: one under attack where it matters, and a neighbour. */
async function makeStale(place: Place, table: ProtectedTable): Promise<void> {
  const isUsed = table === 'grantry_apps' || table === 'grantry_providers';
  if (isUsed && !(await place.isStale('acme', 'none'))) await place.connect('acme', 'none', { stale: true });
  if (await place.isStale('initech', 'retire_on_use')) return;
  await place.connect('initech', 'retire_on_use', { stale: true });
}

function expectRefusal(error: unknown): void {
  if (!isGrantryError(error)) throw error;
  expect(error.code).toMatch(/^(integrity_failed|not_found|invalid_request|provider_misconfigured)$/);
}

function isSameJson(before: Value | undefined, after: Value): boolean {
  if (typeof before !== 'string' || typeof after !== 'string') return false;
  try {
    return JSON.stringify(JSON.parse(before)) === JSON.stringify(JSON.parse(after));
  } catch {
    return false;
  }
}
