import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { builtInProvider, builtInProviderIds } from '../../providers/catalogue.ts';
import { createSimulator, demoClient, type Simulator } from '../index.ts';

const twins = builtInProviderIds.filter((id) => !/^zoho(_|$)/.test(id));
const tokens = z.looseObject({
  access_token: z.string(),
  refresh_token: z.string().optional(),
  expires_in: z.number().optional(),
});

/** Resolves an address of a definition for one data centre. */
function at(id: string, template: string | undefined): string {
  const [hosts = {}] = Object.values(builtInProvider(id)?.dataCenters ?? {});
  return (template ?? '').replace(/\{dc\.(\w+)\}/, (_, name: string) => hosts[name] ?? '');
}

async function connect(simulator: Simulator, id: string) {
  const endpoints = builtInProvider(id)?.endpoints;
  const client = { client_id: demoClient.clientId, redirect_uri: 'https://app.example/cb' };
  const query = new URLSearchParams({ ...client, response_type: 'code', scope: 'a', state: 's' });
  const back = await simulator.fetch(new Request(`${at(id, endpoints?.authorization)}?${query.toString()}`));
  const callback = new URL(back.headers.get('location') ?? '').searchParams;
  const post = async (fields: Record<string, string>) => {
    const body = new URLSearchParams({ ...client, client_secret: demoClient.secret ?? '', ...fields });
    return tokens.parse(
      await (await simulator.fetch(new Request(at(id, endpoints?.token), { method: 'POST', body }))).json(),
    );
  };
  const first = await post({ grant_type: 'authorization_code', code: callback.get('code') ?? '' });
  return {
    callback,
    first,
    refresh: () => post({ grant_type: 'refresh_token', refresh_token: first.refresh_token ?? '' }),
  };
}

describe('the twins of the built-in providers', () => {
  it.each(twins)('%s: connects at the real addresses, refreshes, and calls its API', async (id) => {
    const simulator = createSimulator({ profiles: [id], now: () => 0, autoApprove: true });
    const { callback, first, refresh } = await connect(simulator, id);
    for (const name of Object.keys(builtInProvider(id)?.capture?.callback ?? {}))
      expect(callback.get(name)).toMatch(/^\d+$/);
    for (const name of Object.keys(builtInProvider(id)?.capture?.token ?? {})) expect(first).toHaveProperty(name);
    expect(first.expires_in === undefined).toBe(id === 'salesforce');
    const next = await refresh();
    const rotation = builtInProvider(id)?.refreshToken.rotation;
    const rotates = rotation !== 'none' || id === 'microsoft';
    expect(next.refresh_token !== undefined).toBe(rotates);
    if (rotates) expect(simulator.isAlive(first.refresh_token ?? '')).toBe(rotation !== 'strict');
    const api = simulator.origins()[id];
    const answer = await simulator.fetch(
      new Request(`${api}/anything`, { headers: { authorization: `Bearer ${next.access_token}` } }),
    );
    expect(answer.status).toBe(200);
  });

  it("ends GitHub's old access token with the refresh", async () => {
    const simulator = createSimulator({ profiles: ['github'], now: () => 0, autoApprove: true });
    const { first, refresh } = await connect(simulator, 'github');
    const call = async () =>
      (
        await simulator.fetch(
          new Request('https://api.github.com/user', { headers: { authorization: `Bearer ${first.access_token}` } }),
        )
      ).status;
    expect(await call()).toBe(200);
    await refresh();
    expect(await call()).toBe(401);
  });
});
