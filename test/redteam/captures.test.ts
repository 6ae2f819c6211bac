import { describe, expect, it } from 'vitest';
import { type LogFields, silentLogger } from '../../src/base/log.ts';
import { makeBench } from '../support/bench.ts';
import { makeUpstream, tokens } from '../support/upstream.ts';

const refreshed = 'a-refresh-token-that-rotated';
const idToken = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.';
const answer = () => ({ refresh_token: refreshed, id_token: idToken, echo: `the token is ${refreshed}`, org: 'org-7' });

const api = (_request: unknown, response: { end: (text: string) => void }): void => response.end('ok');

const secretNames = ['access_token', 'refresh_token', 'id_token', 'client_secret', 'code', 'refreshToken'];

describe('C-18 tokens do not become metadata', () => {
  it.each(secretNames)('a definition that captures %s is refused, from an operator and from an admin', async (name) => {
    await using upstream = await makeUpstream({ api });
    for (const role of ['operator', 'admin'] as const) {
      const { key } = await upstream.vault.keys.create(role, { role });
      for (const capture of [{ token: { [name]: 'note' } }, { callback: { [name]: 'x' } }, { token: { org: name } }]) {
        const body = { endpoints: { token: `${upstream.origin}/t` }, api: { hosts: [upstream.origin] }, capture };
        const response = await fetch(`${upstream.url}/v1/providers/mine`, {
          method: 'PUT',
          headers: { authorization: `Bearer ${key.reveal()}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('not captured')]);
      }
    }
  });

  it('a member that repeats a token is dropped, and the tokens are kept', async () => {
    await using upstream = await makeUpstream({
      api,
      answer,
      change: (definition) => ({ ...definition, capture: { token: { echo: 'note', org: 'org_id' } } }),
    });
    const key = { tenant: 'acme', provider: 'plain' };
    const { generation } = await upstream.vault.rejectAccessToken(key, 1);
    expect(generation).toBe(2);
    const grant = await upstream.vault.grants.get(key);
    expect(grant?.metadata).toEqual({ org_id: 'org-7' });
    for (const secret of [refreshed, idToken, tokens.refreshed]) expect(JSON.stringify(grant)).not.toContain(secret);
  });

  it('a definition of before that captures tokens goes on without it, and the log says so once', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const [definition] = bench.providers;
    const warned: LogFields[] = [];
    const logger = { ...silentLogger, warn: (_text: string, fields: LogFields = {}) => void warned.push(fields) };
    const { vault } = await bench.open({ providers: [], logger });
    await vault.providers.put({ ...definition, id: 'mine' });
    const { key, minted } = await bench.connect(vault, { provider: 'mine', profile: 'strict' });
    const { definition: stored } = await bench.judge.db
      .selectFrom('grantry_providers')
      .select('definition')
      .where('id', '=', 'mine')
      .executeTakeFirstOrThrow();
    const capture = { token: { refresh_token: 'label', access_token: 'note' } };
    await bench.judge.db
      .updateTable('grantry_providers')
      .set({ definition: JSON.stringify({ ...JSON.parse(stored), capture }) })
      .execute();
    await bench.jump(60_000);
    const token = await vault.getAccessToken(key);
    const grant = await vault.grants.get(key);
    expect([grant?.generation, grant?.metadata]).toEqual([2, {}]);
    const row = JSON.stringify(await bench.row(key));
    for (const secret of [token.accessToken, minted.refreshToken]) expect(row).not.toContain(secret);
    const told = warned.filter((fields) => 'members' in fields);
    expect(told).toEqual([{ provider: 'mine', members: 'token.refresh_token, token.access_token' }]);
  });
});
