/**
 * An attacker can write the database, and has no root key. The attacker writes each column of each table that holds sealed
 * values: with values of other rows, and with invented ones. Then callers and workers go on. Every secret of this test
 * names its owner, so each secret that leaves is judged by its own words.
 */
import { randomInt } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RawBuilder, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Dice } from '../../lab/dice.ts';
import { newUuid } from '../../src/base/ids.ts';
import { Secret } from '../../src/base/secret.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { insertCandidate } from '../../src/storage/statements/candidates.ts';
import { findGrant, type GrantRow } from '../../src/storage/statements/grants.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { openSecrets, pinSystemKeys } from '../../src/vault/app/secrets.ts';
import { changing } from '../../src/vault/changing.ts';
import { factsOf } from '../../src/vault/grant/facts.ts';
import { queueRevocation, revokeDue } from '../../src/vault/grant/revocations.ts';
import { sealCandidate } from '../../src/vault/grant/tokens.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import type { Vault } from '../../src/vault/types.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';

/** A provider with two data centres; the host of each is `NAME-DC.example`. */
function provider(id: string) {
  const dc = (name: string) => ({
    accounts: `https://as.${id}-${name}.example`,
    api: `https://api.${id}-${name}.example`,
  });
  return {
    id,
    endpoints: {
      authorization: '{dc.accounts}/authorize',
      token: '{dc.accounts}/token',
      revocation: '{dc.accounts}/revoke',
    },
    dataCenters: { eu: dc('eu'), us: dc('us') },
    refreshToken: { rotation: 'none' },
    api: { base: '{dc.api}', hosts: [dc('eu').api, dc('us').api] },
  } as const;
}

/** The evil provider and its app are genuine rows: the attacker is also a customer of this vault. */
const providers = ['honest', 'evil'];
const keys = [
  { tenant: 'acme', provider: 'honest', account: 'default', dc: 'eu' },
  { tenant: 'acme', provider: 'honest', account: 'second', dc: 'us' },
  { tenant: 'acme', provider: 'evil', account: 'default', dc: 'eu' },
  { tenant: 'globex', provider: 'honest', account: 'default', dc: 'eu' },
  { tenant: 'globex', provider: 'evil', account: 'default', dc: 'us' },
] as const;

type Key = (typeof keys)[number];

const tables = ['oauth_tokens', 'grantry_candidates', 'grantry_revocations', 'grantry_attempts'] as const;

/** Invented values, for any column. */
const invented = [
  'evil',
  'evil-app',
  'default',
  'us',
  '0',
  '1',
  '{"dc":"us"}',
  '{"api_domain":"https://api.evil-eu.example"}',
];

/** The columns that say where a token goes, and whose it is. */
const decisive = new Set(['provider', 'account', 'app', 'dc', 'metadata', 'client_id', 'tenant', 'client_secrets']);

/** Fill in the seed of a failing run to see it again. */
const seed = randomInt(1e9);
const dice = new Dice(seed);

function some<T>(values: readonly T[], count: number): T[] {
  const drawn = values.map((value) => ({ value, at: dice.fraction() }));
  return drawn
    .toSorted((one, other) => one.at - other.at)
    .slice(0, count)
    .map(({ value }) => value);
}

const secretPattern = /\b(?:RT|AT)\.[a-z]+\.[a-z]+\.[a-z]+\.[a-z]+\.\d+|\bCS\.[a-z]+/g;

const name = (kind: 'RT' | 'AT', { tenant, provider: at, account, dc }: Key, n: number) =>
  `${kind}.${tenant}.${at}.${account}.${dc}.${n}`;

describe.each(['sqlite', 'postgres'] as const)('a writer of the database on %s', (kind) => {
  let database: string;
  let drop: () => Promise<void>;
  let store: OpenedStore;
  let first: string;
  const saved = new Map<string, Row[]>();
  const leaks: string[] = [];
  const sent: string[] = [];
  let tried = 0;
  let written = 0;

  const world: World = {
    ...systemWorld(),
    fetch: async (url, init) => {
      init.beforeSend?.();
      const { host } = new URL(url);
      const body = typeof init.body === 'string' ? decodeURIComponent(init.body) : '';
      for (const [secret] of `${url} ${JSON.stringify(init.headers ?? {})} ${body}`.matchAll(secretPattern)) {
        sent.push(secret);
        const [what, ...owner] = secret.split('.');
        const entitled = what === 'CS' ? `.${owner[0]}-` : `.${owner[1]}-${owner[3]}.example`;
        if (!host.includes(entitled)) leaks.push(`${secret} to ${host}`);
      }
      const token = new URLSearchParams(body).get('refresh_token');
      if (url.endsWith('/revoke') || token === null) return Response.json({});
      const access_token = token.replace('RT', 'AT').replace(/\d+$/, '9');
      return Response.json({ access_token, token_type: 'Bearer', expires_in: 3_600 });
    },
  };

  async function open(): Promise<{ vault: Vault; [Symbol.asyncDispose]: () => Promise<void> }> {
    // A home of its own: the attacker puts the database back after each try, which no home must have seen.
    const home = mkdtempSync(join(tmpdir(), 'grantry-writer-'));
    if (first === '') first = home;
    else copyFileSync(join(first, 'root.key'), join(home, 'root.key'));
    const rootKey = `file:${join(home, 'root.key')}`;
    const vault = await openVault({ database, home, rootKey, world, backgroundRefresh: false });
    const close = async () => {
      await vault.close();
      if (home !== first) rmSync(home, { recursive: true, force: true });
    };
    return { vault, [Symbol.asyncDispose]: close };
  }

  beforeAll(async () => {
    first = '';
    ({ database, drop } = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase());
    await using opened = await open();
    const { vault } = opened;
    for (const id of providers) {
      await vault.providers.put(provider(id));
      await vault.apps.put(`${id}-app`, { provider: id, clientId: `${id}-id`, clientSecret: `CS.${id}` });
    }
    for (const key of keys) await fill(vault, key);
    store = await openStore({ database, world: systemWorld() });
    for (const table of ['grantry_apps', ...tables, 'grantry_events', 'grantry_token_requests'] as const) {
      saved.set(table, (await sql<Row>`select * from ${sql.table(table)}`.execute(store.db)).rows);
    }
  });

  afterAll(async () => {
    await store.close();
    await drop();
    rmSync(first, { recursive: true, force: true });
  });

  async function putBack(): Promise<void> {
    await store.transaction(async (tx) => {
      // Rows that others refer to go last and come first.
      for (const table of [...saved.keys()].toReversed()) await sql`delete from ${sql.table(table)}`.execute(tx);
      for (const [table, rows] of saved) {
        for (const row of rows) {
          const columns = Object.keys(row).map((column) => sql.ref(column));
          await sql`insert into ${sql.table(table)} (${sql.join(columns)}) values (${sql.join(Object.values(row))})`.execute(
            tx,
          );
        }
      }
    });
  }

  /** Does everything with every grant that callers and workers do. Each call may fail, and none may give another's token. */
  async function use(vault: Vault): Promise<number> {
    let served = 0;
    for (const key of keys) {
      const call = async (run: () => Promise<unknown>) => run().catch(() => undefined);
      const handOut = async (token: Promise<{ accessToken: string }>) => {
        const { accessToken } = await token;
        served += 1;
        const owner = `AT.${key.tenant}.${key.provider}.${key.account}.`;
        if (!accessToken.startsWith(owner)) leaks.push(`${accessToken} to a caller of ${owner}`);
      };
      await call(() => handOut(vault.getAccessToken(key)));
      await call(() => vault.fetch(key, '/ping'));
      for (const generation of [1, 2]) await call(() => handOut(vault.rejectAccessToken(key, generation)));
      await call(() => vault.recover(key));
    }
    await revokeDue(internalsOf(vault).open());
    return served;
  }

  /** Writes, lets callers and workers go on, and puts everything back. The write may be refused by a constraint. */
  async function attack(what: string, write: RawBuilder<unknown>): Promise<void> {
    leaks.length = 0;
    tried += 1;
    try {
      await write.execute(store.db);
      written += 1;
    } catch {
      return putBack();
    }
    await using opened = await open();
    await use(opened.vault);
    await putBack();
    expect(leaks, what).toEqual([]);
  }

  test('everything is served and sent before an attack, to whom it belongs', async () => {
    await using opened = await open();
    sent.length = 0;
    expect(await use(opened.vault)).toBeGreaterThanOrEqual(keys.length * 2);
    expect(leaks).toEqual([]);
    const kinds = new Set(sent.map((secret) => secret.replace(/\.\d+$/, '')));
    for (const key of keys) expect(kinds).toContain(name('RT', key, 0).slice(0, -2));
    expect([...kinds].filter((secret) => secret.startsWith('CS'))).toHaveLength(2);
    await putBack();
  });

  test.each(tables)(
    'gets nothing by writing a column of %s',
    async (table) => {
      const rows = saved.get(table) ?? [];
      const [row] = rows;
      expect(row).toBeDefined();
      for (const column of Object.keys(row ?? {})) {
        const others = rows.map((each) => each[column] ?? null);
        const values = [...new Set([...others, ...invented, null])];
        const set = (value: string | number | null) =>
          sql`update ${sql.table(table)} set ${sql.ref(column)} = ${value}`;
        // Many values for the columns that say where a token goes, in one row, and one for each other column, in all.
        const count = !decisive.has(column) ? 1 : table === 'oauth_tokens' && kind === 'sqlite' ? values.length : 2;
        const [target] = some(rows, 1);
        const where = sql`where id = ${target?.['id'] ?? null}`;
        for (const value of some(values, count)) {
          const what = `${table}.${column} = ${String(value)}, seed ${seed}`;
          await attack(what, decisive.has(column) ? sql`${set(value)} ${where}` : set(value));
        }
      }
    },
    300_000,
  );

  /** Removes a grant, so that another row may take its place. */
  async function remove(id: string | number | null): Promise<void> {
    for (const table of ['grantry_candidates', 'grantry_revocations', 'grantry_attempts'] as const) {
      await sql`delete from ${sql.table(table)} where grant_id = ${id}`.execute(store.db);
    }
    await sql`delete from oauth_tokens where id = ${id}`.execute(store.db);
  }

  test('gets nothing by giving one grant everything of another but its seals, or only its seals', async () => {
    const rows = saved.get('oauth_tokens') ?? [];
    const sealed = ['access_token', 'refresh_token'];
    for (const from of rows) {
      const others = rows.filter((each) => each !== from);
      for (const to of some(others, 1)) {
        const columns = Object.keys(from).filter((column) => column !== 'id' && !sealed.includes(column));
        const set = (names: readonly string[]) =>
          sql.join(names.map((column) => sql`${sql.ref(column)} = ${from[column] ?? null}`));
        const where = sql`where id = ${to['id'] ?? null}`;
        for (const names of [columns, sealed, [...sealed, 'generation'], [...columns, ...sealed]]) {
          await remove(from['id'] ?? null);
          await attack(`${names.join(', ')}, seed ${seed}`, sql`update oauth_tokens set ${set(names)} ${where}`);
        }
      }
    }
  }, 300_000);

  test('could write much of what the attacker tried', () => {
    expect(written / tried).toBeGreaterThan(0.4);
  });

  test('has no other client get the secret of an app', async () => {
    await using opened = await open();
    const context = internalsOf(opened.vault).open();
    const system = await pinSystemKeys(context);
    const app = await context.store.db
      .selectFrom('grantry_apps')
      .selectAll()
      .where('name', '=', 'honest-app')
      .executeTakeFirstOrThrow();
    expect(openSecrets(system, app).get('*')?.reveal()).toBe('CS.honest');
    const { '*': secret }: Record<string, string> = JSON.parse(app.client_secrets);
    for (const change of [
      { provider: 'evil' },
      { client_id: 'evil-id' },
      { name: 'evil-app' },
      { generation: 2 },
      { client_secrets: JSON.stringify({ us: secret }) },
    ]) {
      expect(() => openSecrets(system, { ...app, ...change }), JSON.stringify(change)).toThrow(/cannot be decrypted/);
    }
  });
});

type Row = Record<string, string | number | null>;

/** A grant with tokens, a candidate, and a token that waits to be revoked. */
async function fill(vault: Vault, key: Key): Promise<void> {
  const context = internalsOf(vault).open();
  const { dc } = key;
  const tokens = { refreshToken: name('RT', key, 0), accessToken: name('AT', key, 0), expiresIn: 3_600 };
  await vault.storeTokens(key, { ...tokens, app: `${key.provider}-app`, metadata: { dc } });
  const row = (await findGrant(context.store.db, key)) ?? expect.unreachable();
  const tenantKeys = await context.keys.pin(key.tenant);
  const fingerprint = await context.keys.fingerprinter();
  await changing(context, async (change) => {
    const { client_id: tenant, id: grant_id, generation } = row;
    const id = newUuid(context.world);
    const parked = { refreshToken: name('RT', key, 1), accessToken: null, expiresAt: null };
    const place = { id, generation };
    await insertCandidate(change.tx, {
      ...place,
      tenant,
      grant_id,
      fence: 1,
      state: 'untested',
      token_fingerprint: fingerprint(new Secret(parked.refreshToken)),
      tokens: sealCandidate(tenantKeys, factsOf(row), place, parked),
    });
    await queueRevocation(context, change, row satisfies GrantRow, {
      refreshToken: new Secret(name('RT', key, 2)),
      tenantKeys,
    });
  });
  // An attempt for each grant, and a second generation.
  await vault.rejectAccessToken(key, 1);
}
