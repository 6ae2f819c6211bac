import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  ConnectionResetError,
  createSimulator,
  demoClient,
  type FaultEffect,
  type RunningSimulator,
  type Simulator,
  startSimulator,
} from '../index.ts';

const open: RunningSimulator[] = [];
afterEach(async () => {
  for (const simulator of open.splice(0)) await simulator.close();
});

function strict(simulator: Simulator) {
  const consent = { profile: 'strict', clientId: demoClient.clientId, user: 'user@us.example', scopes: [] };
  const { refreshToken, family } = simulator.mintTokens(consent);
  const fields = {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: demoClient.clientId,
    client_secret: demoClient.secret ?? '',
  };
  const request = (signal: AbortSignal | null = null) =>
    new Request(`${simulator.origins()['strict']}/token`, {
      method: 'POST',
      body: new URLSearchParams(fields),
      signal,
    });
  return { refreshToken, family, request };
}

function pure() {
  const simulator = createSimulator({ profiles: ['strict'], now: () => 0, sleep: async () => {} });
  return { simulator, ...strict(simulator) };
}

async function listening() {
  const simulator = await startSimulator({ profiles: ['strict'] });
  open.push(simulator);
  return { simulator, ...strict(simulator) };
}

const patience = { timeout: 120_000 };

/** Collects in two turns: what one finds unreachable is finalized before the next. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node.js does not let a test collect garbage');
  for (let turn = 0; turn < 2; turn += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('faults without a socket', () => {
  it.each(['before', 'after'] as const)(
    'breaks the connection %s processing, and the history says so',
    async (when) => {
      const { simulator, refreshToken, request } = pure();
      simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when } });
      const failure = await simulator.fetch(request()).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(ConnectionResetError);
      expect(failure).toMatchObject({ processed: when === 'after' });
      expect(simulator.isAlive(refreshToken)).toBe(when === 'before');
      expect(simulator.history.requestsFor(refreshToken)).toMatchObject([
        { fault: `reset ${when}`, outcome: when === 'before' ? 'not_processed' : 'issued' },
      ]);
    },
  );

  it.each(['before', 'after'] as const)('hangs %s processing until the caller gives up', async (when) => {
    const { simulator, refreshToken, request } = pure();
    simulator.faults.add({ effect: { kind: 'hang', when } });
    const controller = new AbortController();
    const waiting = simulator.fetch(request(controller.signal)).catch(() => 'given up');
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 20, 'still waiting'))])).toBe(
      'still waiting',
    );
    expect(simulator.isAlive(refreshToken)).toBe(when === 'before');
    controller.abort();
    expect(await waiting).toBe('given up');
  });

  it('hangs until the caller gives up, however often the garbage is collected meanwhile', async () => {
    const { simulator, request } = pure();
    simulator.faults.add({ effect: { kind: 'hang', when: 'after' } });
    const controller = new AbortController();
    const waiting = simulator.fetch(request(controller.signal)).catch(() => 'given up');
    await vi.waitUntil(() => simulator.history.total === 1, patience);
    await collectGarbage();
    controller.abort();
    expect(await waiting).toBe('given up');
  });

  it('breaks a cut answer off in the middle of its body', async () => {
    const { simulator, refreshToken, request } = pure();
    simulator.faults.add({ effect: { kind: 'cut' } });
    const response = await simulator.fetch(request());
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    expect(simulator.isAlive(refreshToken)).toBe(false);
  });

  it('puts text around an answer', async () => {
    const { simulator, request } = pure();
    simulator.faults.add({ effect: { kind: 'surround', before: '<b>Notice</b>\n', after: '<!-- 3 ms -->' } });
    const text = await (await simulator.fetch(request())).text();
    expect(text).toMatch(/^<b>Notice<\/b>\n\{.*"refresh_token".*\}<!-- 3 ms -->$/);
  });

  it('waits before or after processing, by the clock it was given', async () => {
    const waits: [number, boolean][] = [];
    const simulator = createSimulator({
      profiles: ['strict'],
      now: () => 0,
      sleep: async (ms) => void waits.push([ms, simulator.isAlive(refreshToken)]),
    });
    const { refreshToken, request } = strict(simulator);
    simulator.faults.add({ effect: { kind: 'delay', ms: 5, when: 'before' } });
    await simulator.fetch(request());
    simulator.reset();
    const again = strict(simulator);
    simulator.faults.add({ effect: { kind: 'delay', ms: 7, when: 'after' } });
    await simulator.fetch(again.request());
    expect(waits).toEqual([
      [5, true],
      [7, false],
    ]);
    expect(simulator.isAlive(again.refreshToken)).toBe(false);
  });

  it.each<[FaultEffect, number, (body: string) => void, boolean]>([
    [
      { kind: 'status', status: 503, when: 'before', headers: { 'retry-after': '9' } },
      503,
      (body) => expect(body).toBe(''),
      true,
    ],
    [{ kind: 'status', status: 502, when: 'after' }, 502, (body) => expect(body).toBe(''), false],
    [{ kind: 'html', when: 'before' }, 200, (body) => expect(body).toMatch(/^<!doctype html>/), true],
    [{ kind: 'redirect', location: 'https://elsewhere.example/' }, 302, (body) => expect(body).toBe(''), true],
    [
      { kind: 'error', error: 'invalid_grant' },
      400,
      (body) => expect(JSON.parse(body)).toEqual({ error: 'invalid_grant' }),
      true,
    ],
    [{ kind: 'throttle' }, 429, (body) => expect(JSON.parse(body)).toEqual({ error: 'too_many_requests' }), true],
    [
      { kind: 'patch', set: { expires_in: '3600' }, remove: ['refresh_token'] },
      200,
      (body) => {
        expect(JSON.parse(body)).toMatchObject({ expires_in: '3600' });
        expect(JSON.parse(body)).not.toHaveProperty('refresh_token');
      },
      false,
    ],
    [
      { kind: 'content_type', value: 'text/plain' },
      200,
      (body) => expect(JSON.parse(body)).toHaveProperty('access_token'),
      false,
    ],
    [
      { kind: 'huge', bytes: 3_000_000 },
      200,
      (body) => {
        expect(body.length).toBeGreaterThan(3_000_000);
        expect(JSON.parse(body)).toHaveProperty('refresh_token');
      },
      false,
    ],
  ])('%o', async (effect, status, check, alive) => {
    const { simulator, refreshToken, request } = pure();
    simulator.faults.add({ endpoint: 'token', effect });
    const response = await simulator.fetch(request());
    expect(response.status).toBe(status);
    check(await response.text());
    expect(simulator.isAlive(refreshToken)).toBe(alive);
  });

  it('packs an enormous body into a small one', async () => {
    const { simulator, request } = pure();
    simulator.faults.add({ effect: { kind: 'gzip_bomb', bytes: 10_000_000 } });
    const response = await simulator.fetch(request());
    const packed = Buffer.from(await response.arrayBuffer());
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(packed.length).toBeLessThan(20_000);
    expect(gunzipSync(packed)).toHaveLength(10_000_000);
  });

  it('affects only matching requests, after the skipped ones, as often as set', async () => {
    const { simulator, request } = pure();
    simulator.faults.add({ endpoint: 'api', effect: { kind: 'throttle' } });
    simulator.faults.add({ clientId: 'another', effect: { kind: 'throttle' } });
    simulator.faults.add({
      endpoint: 'token',
      grantType: 'refresh_token',
      skip: 1,
      times: 2,
      effect: { kind: 'status', status: 500, when: 'before' },
    });
    const statuses: number[] = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await simulator.fetch(request())).status);
    expect(statuses).toEqual([200, 500, 500, 400]);
    expect(simulator.faults.pending()).toHaveLength(2);
  });

  it('answers wrongly for a while, then correctly again', async () => {
    const { simulator, request } = pure();
    simulator.faults.add({ endpoint: 'token', forMs: 1_000, effect: { kind: 'error', error: 'invalid_grant' } });
    expect((await simulator.fetch(request())).status).toBe(400);
    simulator.clock.advance(999);
    expect((await simulator.fetch(request())).status).toBe(400);
    simulator.clock.advance(1);
    expect((await simulator.fetch(request())).status).toBe(200);
    expect(simulator.history.events().filter((event) => event.outcome === 'not_processed')).toHaveLength(2);
  });
});

describe('as a world', () => {
  it('sends strings, bytes and streams, and calls back before it sends', async () => {
    const { simulator } = pure();
    const url = `${simulator.origins()['strict']}/token`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const bytes = new TextEncoder().encode('grant_type=refresh_token&client_id=x');
    const calls: string[] = [];
    for (const body of ['grant_type=refresh_token&client_id=x', bytes, new Blob([bytes]).stream()]) {
      const response = await simulator.worldFetch(url, {
        method: 'POST',
        headers,
        body,
        beforeSend: () => void calls.push('sent'),
      });
      expect(await response.json()).toMatchObject({ error: 'invalid_client' });
    }
    const stop = () => {
      throw new Error('not now');
    };
    await expect(simulator.worldFetch(url, { method: 'POST', headers, body: '', beforeSend: stop })).rejects.toThrow(
      'not now',
    );
    expect(calls).toHaveLength(3);
    expect(simulator.history.events().filter((event) => event.clientId === 'x')).toHaveLength(3);
  });
});

describe('faults on a socket', () => {
  it.each<[FaultEffect, boolean]>([
    [{ kind: 'reset', when: 'before' }, true],
    [{ kind: 'reset', when: 'after' }, false],
    [{ kind: 'cut' }, false],
  ])('%o', async (effect, alive) => {
    const { simulator, refreshToken, request } = await listening();
    simulator.faults.add({ endpoint: 'token', effect });
    await expect(fetch(request()).then((response) => response.text())).rejects.toThrow();
    expect(simulator.isAlive(refreshToken)).toBe(alive);
  });

  it('hangs until the caller or the simulator ends it', async () => {
    const { simulator, request } = await listening();
    simulator.faults.add({ endpoint: 'token', times: 2, effect: { kind: 'hang', when: 'before' } });
    const caller = new AbortController();
    const given = fetch(request(caller.signal));
    await vi.waitUntil(() => simulator.history.total === 1, patience);
    caller.abort(new Error('given up'));
    await expect(given).rejects.toThrow('given up');
    const waiting = fetch(request()).catch(() => 'closed');
    await vi.waitUntil(() => simulator.history.total === 2, patience);
    await simulator.close();
    expect(await waiting).toBe('closed');
  });

  it('answers the next request on the same address normally', async () => {
    const { simulator, request } = await listening();
    simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
    await expect(fetch(request())).rejects.toThrow();
    expect((await fetch(request())).status).toBe(200);
  });
});
