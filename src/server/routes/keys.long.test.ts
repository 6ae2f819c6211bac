/** Keys as a back end with many tenants uses them: lists that change, and children for agents and jobs. */
import { describe, expect, it } from 'vitest';
import { databaseKinds, tidyUp } from '../../../test/support/bench.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { limits } from '../../base/limits.ts';
import { apiKeyRoles } from '../../schemas/words.ts';
import { childRoles } from '../../vault/key/rights.ts';
import type { ApiKeyInput } from '../../vault/types.ts';
import { mayDo } from '../principal.ts';

const grant = (tenant: string): string => `/v1/tenants/${tenant}/grants/strict`;
const children = '/v1/keys/self/children';

interface Made {
  readonly id: string;
  readonly key: string;
}

async function make(server: ServerBench, input: ApiKeyInput, name = 'parent'): Promise<Made> {
  const { apiKey, key } = await server.vault.keys.create(name, input);
  return { id: apiKey.id, key: key.reveal() };
}

async function childOf(server: ServerBench, key: string, body: object = {}): Promise<Made> {
  const made = await server.call('POST', children, { key, body });
  expect(made.status).toBe(201);
  return { id: made.body.id, key: made.body.key };
}

describe.each(databaseKinds)('on %s', (kind) => {
  it('a key for all tenants acts for those that come later, and a list stays a list', async () => {
    await using server = await makeServerBench({ kind });
    const all = await server.keyOf('reader', { tenants: '*' });
    const listed = await server.keyOf('reader', { tenants: ['acme'] });
    await server.bench.connect(server.vault, { tenant: 'acme' });
    expect((await server.call('GET', `${grant('acme')}/token`, { key: all })).status).toBe(200);
    await server.bench.connect(server.vault, { tenant: 'later' });
    expect((await server.call('GET', `${grant('later')}/token`, { key: all })).status).toBe(200);
    expect((await server.call('GET', `${grant('later')}/token`, { key: listed })).status).toBe(403);
    const { body } = await server.call('GET', '/v1/grants', { key: all });
    expect(body.items.map(({ tenant }) => tenant)).toEqual(['acme', 'later']);
  });

  it('a change of a key holds here at once, and on other servers within five seconds', async () => {
    await using server = await makeServerBench({ kind });
    const other = await server.start();
    await server.bench.connect(server.vault);
    await server.bench.connect(server.vault, { tenant: 'globex' });
    const { id, key } = await make(server, { role: 'reader', tenants: ['acme'] });
    const statuses = async (): Promise<number[]> =>
      Promise.all(
        [server.url, other.url].map(
          async (url) => (await server.call('GET', `${grant('globex')}/token`, { key, url })).status,
        ),
      );
    expect(await statuses()).toEqual([403, 403]);
    const wider = await server.call('PATCH', `/v1/keys/${id}`, { body: { tenants: ['acme', 'globex'] } });
    expect([wider.status, wider.body]).toMatchObject([200, { id, tenants: ['acme', 'globex'] }]);
    expect((await statuses())[0]).toBe(200);
    await server.bench.jump(5_000);
    expect(await statuses()).toEqual([200, 200]);
    expect((await server.call('PATCH', `/v1/keys/${id}`, { body: { tenants: ['acme'] } })).status).toBe(200);
    expect((await statuses())[0]).toBe(403);
    await server.bench.jump(5_000);
    expect(await statuses()).toEqual([403, 403]);
    // One more change of the same key: each is heard of.
    await server.call('PATCH', '/v1/keys/parent', { body: { expires_at: '2000-01-01T00:00:00Z' } });
    await server.call('PATCH', '/v1/keys/parent', { body: { role: 'caller', tenants: '*' } });
    await server.bench.jump(5_000);
    expect(await statuses()).toEqual([403, 403]);
    expect((await server.call('GET', grant('globex'), { key, url: other.url })).status).toBe(200);
  });

  it.each([
    ['its parent is revoked', { path: 'parent', method: 'DELETE', body: undefined }],
    ['it is revoked itself', { path: 'parent:job', method: 'DELETE', body: undefined }],
    ['its parent has fewer tenants', { path: 'parent', method: 'PATCH', body: { tenants: ['globex'] } }],
    ['its parent has other providers', { path: 'parent', method: 'PATCH', body: { providers: ['xero'] } }],
    ['its parent has a lower role', { path: 'parent', method: 'PATCH', body: { role: 'connector' } }],
    ['its parent has fewer methods', { path: 'parent', method: 'PATCH', body: { methods: ['GET'] } }],
  ] as const)(
    'a child ends here at once and elsewhere within five seconds when %s',
    async (_, { path, method, body }) => {
      await using server = await makeServerBench({ kind });
      const other = await server.start();
      await server.bench.connect(server.vault);
      const parent = await make(server, { role: 'reader', tenants: ['acme', 'globex'] });
      const { key } = await childOf(server, parent.key, { name: 'job', tenants: ['acme'] });
      const sibling = await childOf(server, parent.key, { role: 'caller', tenants: ['globex'], methods: ['GET'] });
      const status = async (url: string): Promise<number> =>
        (await server.call('GET', grant('acme'), { key, url })).status;
      expect([await status(server.url), await status(other.url)]).toEqual([200, 200]);
      await server.call('GET', '/v1/grants', { key: sibling.key, url: other.url });
      expect((await server.call(method, `/v1/keys/${path}`, { body })).status).toBeLessThan(300);
      expect(await status(server.url)).toBe(401);
      await server.bench.jump(5_000);
      expect(await status(other.url)).toBe(401);
      const rows = await server.bench.judge.db
        .selectFrom('grantry_api_keys')
        .select('name')
        .where('parent', 'is not', null)
        .execute();
      expect(rows.map(({ name }) => name)).not.toContain('parent:job');
      const isSiblingEnded = path === 'parent' && !(method === 'PATCH' && ('tenants' in body || 'methods' in body));
      expect((await server.call('GET', '/v1/grants', { key: sibling.key, url: other.url })).status).toBe(
        isSiblingEnded ? 401 : 200,
      );
    },
  );

  it.each([
    ['its count of changes is set back', 'parent', { revision: -1_000 }],
    ['it has another role', 'parent', { role: 'admin' }],
    ['it claims no parent', 'job', { parent: null }],
    ['it claims another parent', 'job', { parent: 'other' }],
  ] as const)(
    'an altered key that is revoked ends here and elsewhere, with its children: %s',
    async (_, name, news) => {
      await using server = await makeServerBench({ kind });
      const other = await server.start();
      await server.bench.connect(server.vault);
      const parent = await make(server, { role: 'reader', tenants: ['acme'] });
      const stranger = await make(server, { role: 'reader', tenants: ['acme'] }, 'stranger');
      const job = await childOf(server, parent.key, { name: 'job' });
      const [key, id] = name === 'parent' ? [parent.key, parent.id] : [job.key, job.id];
      const status = async (url: string, of = key): Promise<number> =>
        (await server.call('GET', grant('acme'), { key: of, url })).status;
      expect([await status(server.url), await status(other.url), await status(other.url, job.key)]).toEqual([
        200, 200, 200,
      ]);
      const altered = 'parent' in news && news.parent !== null ? { parent: stranger.id } : news;
      await server.bench.judge.db.updateTable('grantry_api_keys').set(altered).where('id', '=', id).execute();
      expect((await server.call('DELETE', `/v1/keys/${id}`)).status).toBe(204);
      expect(await status(server.url)).toBe(401);
      await server.bench.jump(5_000);
      expect([await status(other.url), await status(other.url, job.key)]).toEqual([401, 401]);
      expect(await status(other.url, stranger.key)).toBe(200);
      const kept = server.bench.judge.db.selectFrom('grantry_api_keys').selectAll().where('id', '=', id);
      expect(await kept.executeTakeFirst()).toMatchObject({ parent: null, revoked_at: expect.any(Number) });
      expect((await server.vault.keys.list()).filter((each) => each.integrityFailed === true)).toEqual([]);
    },
  );

  it('a child of an altered key is no key, and an altered key makes no child', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.connect(server.vault);
    const parent = await make(server, { role: 'reader', tenants: ['acme'] });
    const { key } = await childOf(server, parent.key, { name: 'job' });
    const tenants = JSON.stringify(['acme', 'globex']);
    const { db } = server.bench.judge;
    await db.updateTable('grantry_api_keys').set({ tenants }).where('id', '=', parent.id).execute();
    const { url } = await server.start();
    expect((await server.call('GET', grant('acme'), { key, url })).status).toBe(401);
    const made = await server.call('POST', children, { key: parent.key, body: {} });
    expect([made.status, made.body.code]).toEqual([500, 'integrity_failed']);
  });

  it('a child ends after an hour at most, and is then removed', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.connect(server.vault);
    const parent = await make(server, { role: 'reader', tenants: ['acme'] });
    const far = new Date(server.bench.clock.now() + 7 * limits.apiKeyChildMsMax).toISOString();
    const { key } = await childOf(server, parent.key, { name: 'job', expires_at: far });
    const { body } = await server.call('GET', '/v1/keys');
    expect(body.items.find(({ name }) => name === 'parent:job')).toMatchObject({ parent: parent.id });
    await server.bench.jump(limits.apiKeyChildMsMax - 60_000);
    expect((await server.call('GET', grant('acme'), { key })).status).toBe(200);
    await server.bench.jump(60_000);
    expect((await server.call('GET', grant('acme'), { key })).status).toBe(401);
    await tidyUp(server.vault);
    expect((await server.vault.keys.list()).map(({ name }) => name)).not.toContain('parent:job');
  });

  it('no more than a bounded number of children live at once', async () => {
    await using server = await makeServerBench({ kind });
    const parent = await make(server, { role: 'caller', tenants: ['acme'] });
    const bodies = Array.from({ length: limits.apiKeyChildrenMax + 5 }, (_, at) => ({ name: `job-${at}` }));
    const statuses: number[] = [];
    for (let at = 0; at < bodies.length; at += 15) {
      const some = bodies.slice(at, at + 15).map((body) => server.call('POST', children, { key: parent.key, body }));
      statuses.push(...(await Promise.all(some)).map(({ status }) => status));
    }
    expect(statuses.filter((status) => status === 201).length).toBe(limits.apiKeyChildrenMax);
    expect(statuses.filter((status) => status === 429).length).toBe(5);
    await server.bench.jump(limits.apiKeyChildMsMax);
    expect((await server.call('POST', children, { key: parent.key, body: { name: 'job-1' } })).status).toBe(201);
  });
});

const parent: ApiKeyInput = {
  role: 'reader',
  tenants: ['acme'],
  providers: ['strict'],
  methods: ['GET', 'POST'],
  paths: ['/crm/**'],
};

it.each([
  ['another role', { role: 'operator' }],
  ['the role of those who connect', { role: 'connector', methods: undefined }],
  ['an admin', { role: 'admin' }],
  ['all tenants', { tenants: '*' }],
  ['one tenant more', { tenants: ['acme', 'globex'] }],
  ['another provider', { providers: ['strict', 'none'] }],
  ['another method', { methods: ['GET', 'DELETE'] }],
  ['another path', { paths: ['/crm/v8/**', '/books/**'] }],
  ['another host', { paths: ['https://desk.zoho.eu/crm/**'] }],
])('no child has %s', async (_, body) => {
  await using server = await makeServerBench();
  const { key } = await make(server, parent);
  const refused = await server.call('POST', children, { key, body });
  expect([refused.status, refused.text.includes('gry_')]).toEqual([403, false]);
});

it('a child has what its parent has, unless it is narrower, and ends before its parent does', async () => {
  await using server = await makeServerBench();
  const expiresAt = new Date(server.bench.clock.now() + 600_000);
  const { id, key } = await make(server, { ...parent, expiresAt });
  const same = await server.call('POST', children, { key, body: {} });
  const { role, ...lists } = parent;
  expect(same.body).toMatchObject({ ...lists, role, parent: id, expires_at: expiresAt.toISOString() });
  const narrow = { role: 'caller', methods: ['GET'], paths: ['/crm/v8/Leads/*'] };
  expect((await server.call('POST', children, { key, body: narrow })).body).toMatchObject(narrow);
  const grandchild = await server.call('POST', children, { key: same.body.key, body: {} });
  expect([grandchild.status, grandchild.body.code]).toEqual([403, 'forbidden']);
  const taken = { body: { name: 'job' }, key };
  expect((await server.call('POST', children, taken)).status).toBe(201);
  expect((await server.call('POST', children, taken)).status).toBe(400);
  const changed = await server.call('PATCH', '/v1/keys/parent:job', { body: { tenants: '*' } });
  expect([changed.status, changed.body.code]).toEqual([400, 'invalid_request']);
});

it('a child of a role may do nothing that the role may not, and never makes keys or adopts', () => {
  const actions = ['read_token', 'see_grants', 'use_proxy', 'connect', 'operate', 'see_metrics', 'make_child'] as const;
  for (const role of apiKeyRoles) {
    for (const child of childRoles[role]) {
      for (const action of actions) expect(mayDo(role, action) || !mayDo(child, action)).toBe(true);
      expect([mayDo(child, 'manage_keys'), mayDo(child, 'adopt')]).toEqual([false, false]);
    }
  }
});

it('a key that an operator or admin narrows for a job gets tokens of no other tenant', async () => {
  await using server = await makeServerBench();
  await server.bench.connect(server.vault);
  await server.bench.connect(server.vault, { tenant: 'globex' });
  const { key } = await childOf(server, await server.keyOf('admin'), { role: 'reader', tenants: ['acme'] });
  expect((await server.call('GET', `${grant('acme')}/token`, { key })).status).toBe(200);
  expect((await server.call('GET', `${grant('globex')}/token`, { key })).status).toBe(403);
  const reader = await server.call('POST', children, { key: 'operator', body: { role: 'reader', tenants: ['acme'] } });
  expect(reader.status).toBe(403);
});
