import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LogFields } from '../../src/base/log.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { schemaVersion } from '../../src/storage/migrations/version.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import { checkSeals } from '../../src/vault/upkeep/check-seals.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { loadFixture, type ProviderRequest, readSecrets, tokens, worldWith } from '../support/upgrade-fixture.ts';

const version = '0.1.0';
/** The text forms of records begin with prefix, magic and format. */
const [format1, format2] = ['gry1.R1JZAQ', 'gry1.R1JZAg'];

describe.each(['sqlite', 'postgres'] as const)('a 0.1.0 vault on %s', (kind) => {
  const secrets = readSecrets(kind, version);
  const requests: ProviderRequest[] = [];
  const errors: [string, LogFields | undefined][] = [];
  let store: OpenedStore;
  let home: string;
  let database: string;
  let drop: () => Promise<void>;

  beforeEach(async () => {
    const scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    ({ database, drop } = scratch);
    store = await openStore({ database, world: systemWorld() });
    home = newHome();
    requests.length = 0;
    errors.length = 0;
    await loadFixture(store, version);
  });

  afterEach(async () => {
    await store.close();
    await drop();
    rmSync(home, { recursive: true, force: true });
  });

  function newHome(): string {
    const made = mkdtempSync(join(tmpdir(), 'grantry-reseal-'));
    writeFileSync(join(made, 'root.key'), secrets.rootKey, { mode: 0o600 });
    return made;
  }

  const usual = () =>
    worldWith((request) => {
      requests.push(request);
      return tokens('next');
    });

  function open(at = home, world = usual()) {
    const logger = {
      ...silentLogger,
      error: (message: string, fields?: LogFields) => void errors.push([message, fields]),
    };
    const rootKey = `file:${join(at, 'root.key')}`;
    return openVault({ database, home: at, rootKey, installation: 'fixture', backgroundRefresh: false, world, logger });
  }

  /** Every sealed text that has facts, by its place. */
  async function sealed(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    const columns = [
      ['oauth_tokens', 'access_token'],
      ['oauth_tokens', 'refresh_token'],
      ['grantry_candidates', 'tokens'],
      ['grantry_revocations', 'token'],
      ['grantry_connect_sessions', 'pending'],
    ] as const;
    for (const [table, column] of columns) {
      const query = sql<{ id: string; text: string }>`select id, ${sql.ref(column)} as text from ${sql.table(table)}
        where ${sql.ref(column)} is not null`;
      for (const { id, text } of (await query.execute(store.db)).rows) found[`${table}.${column} ${id}`] = text;
    }
    for (const app of await store.db.selectFrom('grantry_apps').select(['name', 'client_secrets']).execute()) {
      const texts: Record<string, string> = JSON.parse(app.client_secrets);
      for (const [dc, text] of Object.entries(texts)) found[`grantry_apps ${app.name} ${dc}`] = text;
    }
    return found;
  }

  test('is sealed anew at its first opening, and every value opens', async () => {
    const before = await sealed();
    expect(Object.values(before).every((text) => text.startsWith(format1))).toBe(true);
    await using vault = await open();
    const after = await sealed();
    expect(Object.keys(after)).toEqual(Object.keys(before));
    expect(Object.values(after).filter((text) => !text.startsWith(format2))).toEqual([]);
    const { checked, altered } = await checkSeals(internalsOf(vault).open());
    expect([checked > 7, altered]).toEqual([true, []]);
    expect(errors).toEqual([]);
    await vault.rejectAccessToken({ tenant: 'acme', provider: 'example', account: 'active' }, 2);
    expect(requests.at(-1)?.form.get('refresh_token')).toBe('refresh-active-2');
  });

  test('stays as it was when its upgrade is interrupted, and is upgraded at the next opening', async () => {
    const before = await sealed();
    for (const bytesLeft of [0, 3, 9]) {
      let left = bytesLeft;
      const world = worldWith(() => undefined);
      const failing = {
        ...world,
        randomBytes: (size: number) => {
          left -= 1;
          if (left < 0) throw new Error('the process ends here');
          return world.randomBytes(size);
        },
      };
      await expect(open(home, failing)).rejects.toThrow('the process ends here');
      expect(await sealed()).toEqual(before);
      expect(await schemaVersion(store)).toBe(1);
    }
    await using vault = await open();
    expect((await checkSeals(internalsOf(vault).open())).altered).toEqual([]);
  });

  test('keeps what does not open, names it, and seals everything else', async () => {
    const one = store.db.selectFrom('oauth_tokens').select('refresh_token').where('account', '=', 'active');
    const { refresh_token } = await one.executeTakeFirstOrThrow();
    const damaged = store.db.updateTable('oauth_tokens').set({ refresh_token }).where('account', '=', 'uncertain');
    await damaged.execute();
    await using vault = await open();
    expect(errors.map(([message]) => message)).toEqual(['a stored value does not open and is not sealed anew']);
    const { altered } = await checkSeals(internalsOf(vault).open());
    expect(altered).toEqual(['the grant of acme at example (account uncertain)']);
    const kept = Object.values(await sealed()).filter((text) => !text.startsWith(format2));
    expect(kept).toEqual([refresh_token]);
  });

  test('accepts none of its old values afterwards, in any place', async () => {
    const before = await store.db.selectFrom('oauth_tokens').selectAll().where('account', '=', 'active').execute();
    const app = await store.db.selectFrom('grantry_apps').selectAll().executeTakeFirstOrThrow();
    await (await open()).close();
    const [old] = before;
    if (old === undefined) throw new Error('the fixture has no active grant');
    const { access_token, refresh_token, generation } = old;
    // An attacker may be the owner of the tables.
    const trigger = `oauth_tokens_format_update${kind === 'postgres' ? ' on oauth_tokens' : ''}`;
    await sql`drop trigger ${sql.raw(trigger)}`.execute(store.db);
    const table = store.db.updateTable('oauth_tokens').where('account', '=', 'active');
    await table.set({ access_token, refresh_token, generation }).execute();
    await using other = { home: newHome(), [Symbol.asyncDispose]: async () => rmSync(other.home, { recursive: true }) };
    await using vault = await open(other.home);
    const key = { tenant: 'acme', provider: 'example', account: 'active' };
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'integrity_failed' });
    await expect(vault.rejectAccessToken(key, generation)).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(errors.map(([message, fields]) => [message, fields?.['account']])).toEqual([
      ['the tokens of a grant do not open: its row was altered outside of Grantry', 'active'],
    ]);
    await store.db.updateTable('grantry_apps').set({ client_secrets: app.client_secrets }).execute();
    await expect(vault.rejectAccessToken({ ...key, account: 'suspect' }, 1)).rejects.toMatchObject({
      code: expect.stringMatching(/integrity_failed|refresh_uncertain/),
    });
    expect(requests).toEqual([]);
  });
});
