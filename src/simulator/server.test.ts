import { afterEach, describe, expect, it } from 'vitest';
import { builtInProvider } from '../providers/catalogue.ts';
import { checkOrigins, differsInOriginsOnly } from '../providers/check-origins.ts';
import { providerDefinition } from '../providers/definition.ts';
import {
  createSimulator,
  demoClient,
  fingerprintOf,
  type RunningSimulator,
  rewriteOrigins,
  type SimulatorOptions,
  simulatorProfiles,
  startSimulator,
} from './index.ts';

const open: RunningSimulator[] = [];
afterEach(async () => {
  for (const simulator of open.splice(0)) await simulator.close();
});

async function started(options: SimulatorOptions & { port?: number } = {}): Promise<RunningSimulator> {
  const simulator = await startSimulator({ profiles: ['strict'], ...options });
  open.push(simulator);
  return simulator;
}

const asJson = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

describe('startSimulator', () => {
  it('listens on one port per data centre and names them to each other', async () => {
    const simulator = await started({ profiles: ['zoho'], dataCenters: ['eu', 'us'], autoApprove: true });
    const origins = simulator.origins();
    expect(Object.keys(origins)).toEqual(['zoho/eu', 'zoho/us']);
    const info: unknown = await (await fetch(`${origins['zoho/us']}/oauth/serverinfo`)).json();
    expect(info).toEqual({ result: 'success', locations: { eu: origins['zoho/eu'], us: origins['zoho/us'] } });
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: demoClient.clientId,
      redirect_uri: 'http://127.0.0.1:1/',
      scope: 'ZohoCRM.org.READ',
      login_hint: 'user@eu.example',
    });
    const moved = await fetch(`${origins['zoho/us']}/oauth/v2/auth?${query.toString()}`, { redirect: 'manual' });
    expect(moved.headers.get('location')).toContain(`${origins['zoho/eu']}/oauth/v2/auth`);
  });

  it('fails as a whole when a port is taken', async () => {
    const first = await started();
    const port = Number(new URL(first.origins()['strict'] ?? '').port);
    await expect(startSimulator({ profiles: ['strict'], port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('refuses profiles and data centres that do not exist, naming those that do', async () => {
    await expect(startSimulator({ profiles: ['nonesuch'] })).rejects.toThrow(/retire_on_use/);
    await expect(startSimulator({ dataCenters: ['mars'] })).rejects.toThrow(/\beu\b/);
  });

  it('writes a valid definition of every server; a built-in one only differs in its origins', async () => {
    const simulator = await started({ profiles: simulatorProfiles, dataCenters: ['eu', 'ca', 'sa'] });
    for (const id of simulator.definitionIds()) {
      const definition = providerDefinition.parse(simulator.definition(id));
      checkOrigins(definition, { allowLoopback: true });
      const original = builtInProvider(id);
      if (original !== null) expect(differsInOriginsOnly(original, definition), id).toBe(true);
      const { endpoints, dataCenters, api, issuer } = definition;
      expect(JSON.stringify({ endpoints, dataCenters, api, issuer }), id).not.toContain('https://');
    }
  });
});

describe('rewriteOrigins', () => {
  it('moves whole origins only', () => {
    const definition = {
      id: 'x',
      endpoints: { token: 'https://a.example/token' },
      api: { hosts: ['https://a.example', 'https://a.example.evil'] },
    };
    const moved = rewriteOrigins(definition, new Map([['https://a.example', 'http://127.0.0.1:1']]));
    expect(moved.endpoints.token).toBe('http://127.0.0.1:1/token');
    expect(moved.api.hosts).toEqual(['http://127.0.0.1:1', 'https://a.example.evil']);
  });
});

describe('the control API', () => {
  it('mints tokens, judges them, adds faults, advances the clock and resets', async () => {
    const simulator = await started();
    const at = simulator.origins()['strict'];
    const minted: unknown = await (
      await fetch(
        `${at}/_sim/tokens`,
        asJson({ profile: 'strict', clientId: demoClient.clientId, user: 'user@us.example', scopes: [] }),
      )
    ).json();
    const refreshToken =
      minted !== null && typeof minted === 'object' && 'refreshToken' in minted ? String(minted.refreshToken) : '';
    const judge = async (): Promise<unknown> => (await fetch(`${at}/_sim/judge`, asJson({ refreshToken }))).json();
    expect(await judge()).toMatchObject({
      alive: true,
      family: { profile: 'strict', current: fingerprintOf(refreshToken) },
      requests: [],
    });
    await fetch(`${at}/_sim/faults`, asJson({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } }));
    const fields = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      client_id: demoClient.clientId,
      client_secret: demoClient.secret ?? '',
    });
    await expect(fetch(`${at}/token`, { method: 'POST', body: fields })).rejects.toThrow();
    expect(await judge()).toMatchObject({
      alive: false,
      family: { alive: true },
      requests: [{ outcome: 'issued', fault: 'reset after' }],
    });
    const before = simulator.clock.now();
    await fetch(`${at}/_sim/clock`, asJson({ advanceMs: 3_600_000 }));
    expect(simulator.clock.now() - before).toBeGreaterThanOrEqual(3_600_000);
    await fetch(`${at}/_sim/reset`, asJson({}));
    expect(await (await fetch(`${at}/_sim/families`)).json()).toEqual([]);
  });

  it('refuses what a page of another site could send, unknown names and wrong shapes', async () => {
    const simulator = await started();
    const at = simulator.origins()['strict'];
    expect((await fetch(`${at}/_sim/reset`, { method: 'POST', body: '{}' })).status).toBe(415);
    expect(
      (
        await fetch(`${at}/_sim/reset`, {
          ...asJson({}),
          headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
        })
      ).status,
    ).toBe(403);
    expect((await fetch(`${at}/_sim/faults`, asJson({ effect: { kind: 'reset' } }))).status).toBe(400);
    expect((await fetch(`${at}/_sim/zoho`, asJson({ change: { throtle: 'off' } }))).status).toBe(400);
    expect(
      (await fetch(`${at}/_sim/tokens`, asJson({ profile: 'strict', clientId: 'x', user: 'x', scopes: 'all' }))).status,
    ).toBe(400);
    expect((await fetch(`${at}/_sim/clock`, asJson('now'))).status).toBe(400);
    expect(simulator.faults.pending()).toEqual([]);
  });

  it('never shows a token or a secret in history, page or lists', async () => {
    const simulator = await started();
    const { refreshToken, accessToken } = simulator.mintTokens({
      profile: 'strict',
      clientId: demoClient.clientId,
      user: '"><script>alert(1)</script>',
      scopes: [],
    });
    const at = simulator.origins()['strict'] ?? '';
    await fetch(`${at}/api/organization`, { headers: { authorization: `Bearer ${accessToken}` } });
    const seen = await Promise.all(
      ['/', '/_sim/history', '/_sim/families', '/_sim/clients'].map(async (path) => (await fetch(at + path)).text()),
    );
    for (const secret of [refreshToken, accessToken, demoClient.secret ?? ''])
      expect(seen.join('')).not.toContain(secret);
    expect(seen[0]).toContain(fingerprintOf(refreshToken).slice(0, 8));
    expect(seen[0]).toContain('&#60;script');
    expect(seen[0]).not.toContain('<script');
  });
});

describe('createSimulator', () => {
  it('repeats a run exactly with the same clock and random source', async () => {
    const run = async (): Promise<string> => {
      let drawn = 0;
      const random = (count: number) => Uint8Array.from({ length: count }, () => (drawn += 97) % 256);
      const simulator = createSimulator({ profiles: ['timed_overlap'], now: () => 5_000, random });
      const { refreshToken } = simulator.mintTokens({
        profile: 'timed_overlap',
        clientId: demoClient.clientId,
        user: 'user@us.example',
        scopes: [],
      });
      const fields = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: demoClient.clientId,
        client_secret: demoClient.secret ?? '',
      });
      for (let count = 0; count < 3; count += 1) {
        await simulator.fetch(
          new Request('https://timed-overlap.simulator.example/token', { method: 'POST', body: fields }),
        );
      }
      return JSON.stringify(simulator.history.events());
    };
    expect(await run()).toBe(await run());
  });

  it('keeps at most historyCap events, and counts all', () => {
    const simulator = createSimulator({ profiles: ['none'], historyCap: 10 });
    for (let count = 0; count < 100; count += 1) {
      simulator.mintTokens({ profile: 'none', clientId: demoClient.clientId, user: 'user@us.example', scopes: [] });
    }
    const events = simulator.history.events();
    expect(events).toHaveLength(10);
    expect(events.at(-1)?.sequence).toBe(100);
    expect(simulator.history.events(98).map((event) => event.sequence)).toEqual([99, 100]);
  });
});
