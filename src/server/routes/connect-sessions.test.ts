/** Connect sessions as a tenant's backend sees them, on both databases. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { databaseKinds, tidyUp } from '../../../test/support/bench.ts';
import { cookieName } from '../../../test/support/connect-bench.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { demoClient } from '../../simulator/index.ts';

const returnTo = 'https://app.example/connected';
const user = 'alice';
const tokenPath = (tenant: string): string => `/v1/tenants/${tenant}/grants/strict/token`;

describe.each(databaseKinds)('on %s', (kind) => {
  let server: ServerBench;
  let tenants = 0;

  beforeAll(async () => {
    server = await makeServerBench({ kind });
    const app = { provider: 'strict', client_id: demoClient.clientId, client_secret: demoClient.secret };
    await server.call('PUT', '/v1/apps/strict', { body: { ...app, scopes: ['read'], return_to: [returnTo] } });
  });

  afterAll(() => server?.[Symbol.asyncDispose]());

  function newTenant(): string {
    tenants += 1;
    return `tenant-${tenants}`;
  }

  async function make(input: Record<string, unknown>) {
    const { status, body } = await server.call('POST', '/v1/connect-sessions', {
      key: 'operator',
      body: { provider: 'strict', ...input },
    });
    expect(status).toBe(201);
    return body;
  }

  /** Opens the link, presses the button, consents, and comes back: where the browser is sent then. */
  async function visit(link: string): Promise<URL> {
    const page = await fetch(link);
    const [, cookie = ''] = /=([^;]+)/.exec(page.headers.get('set-cookie') ?? '') ?? [];
    const headers = { cookie: `${cookieName}=${cookie}` };
    const proof = /name="proof" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
    const body = new URLSearchParams({ proof });
    const pressed = await fetch(link, { method: 'POST', body, headers, redirect: 'manual' });
    const consented = await server.bench.simulator.fetch(new Request(pressed.headers.get('location') ?? ''));
    const back = await fetch(consented.headers.get('location') ?? '', { headers, redirect: 'manual' });
    expect(back.status).toBe(303);
    return new URL(back.headers.get('location') ?? '');
  }

  const complete = (id: string, body: Record<string, unknown>) =>
    server.call('POST', `/v1/connect-sessions/${id}/complete`, { key: 'operator', body });
  const look = async (id: string) => (await server.call('GET', `/v1/connect-sessions/${id}`)).body;
  const tidy = (): Promise<void> => tidyUp(server.vault);
  const revocations = (): number =>
    server.bench.simulator.history.events().filter((event) => event.kind === 'revoke').length;

  it('a customer connects, and connects again: the new tokens count from the confirmation on', async () => {
    const tenant = newTenant();
    const connect = async (): Promise<number> => {
      const session = await make({ tenant, return_to: returnTo, user });
      const back = await visit(session.url);
      expect((await look(session.id)).state).toBe('pending');
      const { status, body } = await complete(session.id, { completion_code: back.searchParams.get('code'), user });
      expect([status, (await look(session.id)).state]).toEqual([200, 'completed']);
      return body.generation;
    };
    expect(await connect()).toBe(1);
    const first = await server.call('GET', tokenPath(tenant));
    const pending = await make({ tenant, return_to: returnTo, user });
    await visit(pending.url);
    expect((await server.call('GET', tokenPath(tenant))).body.access_token).toBe(first.body.access_token);
    expect(await connect()).toBe(2);
    const second = await server.call('GET', tokenPath(tenant));
    expect(second.body.access_token).not.toBe(first.body.access_token);
    expect(await server.bench.events({ tenant, provider: 'strict' })).toEqual(['connected', 'connected']);
  });

  it('unconfirmed tokens are revoked after ten minutes, those of a wrong user at once, and then deleted', async () => {
    const [late, wrong] = [newTenant(), newTenant()];
    const first = await make({ tenant: wrong, return_to: returnTo, user });
    const code = (await visit(first.url)).searchParams.get('code');
    const before = revocations();
    expect((await complete(first.id, { completion_code: code, user: 'mallory' })).body.code).toBe(
      'authorization_failed',
    );
    expect(revocations()).toBe(before + 1);
    const second = await make({ tenant: late, return_to: returnTo });
    const kept = (await visit(second.url)).searchParams.get('code');
    await server.bench.jump(600_001);
    await tidy();
    expect((await complete(second.id, { completion_code: kept })).body.code).toBe('authorization_failed');
    expect([await look(first.id), await look(second.id)]).toMatchObject([
      { state: 'failed', error: 'wrong_user' },
      { state: 'failed', error: 'not_completed' },
    ]);
    const { db } = server.bench.judge;
    const rows = await db.selectFrom('grantry_connect_sessions').select(['id', 'pending']).execute();
    expect(rows.filter(({ pending, id }) => pending !== null && [first.id, second.id].includes(id))).toEqual([]);
    const keys = await db.selectFrom('grantry_tenant_keys').select('tenant').execute();
    // Nothing is left of these two tenants that a key would open.
    expect(keys.map(({ tenant }) => tenant).filter((tenant) => [late, wrong].includes(tenant))).toEqual([]);
  });

  it('sessions are listed page by page, the newest first, and forgotten after a day', async () => {
    const tenant = newTenant();
    const made: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      await server.bench.jump(1);
      made.unshift((await make({ tenant })).id);
    }
    const listed: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const { body } = await server.call('GET', `/v1/connect-sessions?tenant=${tenant}&limit=2${query}`);
      listed.push(...body.items.map(({ id }) => id));
      cursor = body.next_cursor;
    }
    expect(listed).toEqual(made);
    expect(JSON.stringify(await look(made[0] ?? ''))).not.toMatch(/hash|token|code/);
    await server.bench.jump(1_800_000 + 86_400_000);
    await tidy();
    expect((await server.call('GET', `/v1/connect-sessions?tenant=${tenant}`)).body.items).toEqual([]);
    expect((await server.call('GET', `/v1/connect-sessions/${made[0]}`)).status).toBe(404);
  });

  it('the other server of two finishes what this one began', async () => {
    const tenant = newTenant();
    const other = await server.start({ publicUrl: server.url });
    const session = await make({ tenant, return_to: returnTo, user });
    const back = await visit(session.url);
    const { status } = await server.call('POST', `/v1/connect-sessions/${session.id}/complete`, {
      url: other.url,
      body: { completion_code: back.searchParams.get('code'), user },
    });
    expect([status, (await server.call('GET', tokenPath(tenant))).status]).toEqual([200, 200]);
  });
});

it('links are for administrators and operators', async () => {
  await using server = await makeServerBench();
  const routes = [
    ['POST', '/v1/connect-sessions'],
    ['GET', '/v1/connect-sessions'],
    ['GET', '/v1/connect-sessions/0a0b0c0d-0000-4000-8000-000000000000'],
    ['POST', '/v1/connect-sessions/0a0b0c0d-0000-4000-8000-000000000000/complete'],
  ] as const;
  for (const [method, route] of routes) {
    for (const key of ['reader', 'caller']) {
      const { status } = await server.call(method, route, { key, ...(method === 'POST' ? { body: {} } : {}) });
      expect([method, route, key, status]).toEqual([method, route, key, 403]);
    }
  }
});
