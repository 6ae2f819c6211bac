import { describe, expect, it } from 'vitest';
import { authorize, exchange, mint, refresh, zoho } from '../../../test/support/zoho-requests.ts';

describe("Zoho's limits", () => {
  it('makes ten access tokens per refresh token in ten minutes, and never says when to come back', async () => {
    const simulator = zoho();
    const { refreshToken } = mint(simulator);
    for (let made = 0; made < 10; made += 1) expect((await refresh(simulator, refreshToken)).status).toBe(200);
    expect(await refresh(simulator, refreshToken)).toEqual({
      status: 400,
      body: {
        error_description: 'You have made too many requests continuously. Please try again after some time.',
        error: 'Access Denied',
        status: 'failure',
      },
    });
    expect(simulator.isAlive(refreshToken)).toBe(true);
    simulator.clock.advance(599_999);
    expect((await refresh(simulator, refreshToken)).status).toBe(400);
    simulator.clock.advance(1);
    expect((await refresh(simulator, refreshToken)).status).toBe(200);
  });

  it('can prolong the block with every attempt, slide its window, and answer 200', async () => {
    const { zohoDefaults } = await import('../index.ts');
    if (zohoDefaults.throttle === 'off') throw new Error('the throttle is on by default');
    const throttle = {
      ...zohoDefaults.throttle,
      requests: 2,
      window: 'sliding' as const,
      prolong: true,
      status: 200 as const,
    };
    const simulator = zoho({ zoho: { throttle } });
    const { refreshToken } = mint(simulator);
    await refresh(simulator, refreshToken);
    await refresh(simulator, refreshToken);
    simulator.clock.advance(599_000);
    expect(await refresh(simulator, refreshToken)).toMatchObject({ status: 200, body: { error: 'Access Denied' } });
    simulator.clock.advance(599_000);
    expect((await refresh(simulator, refreshToken)).body).toHaveProperty('error');
    simulator.clock.advance(600_000);
    expect((await refresh(simulator, refreshToken)).body).toHaveProperty('access_token');
  });

  it('keeps fifteen access tokens of a refresh token alive and kills the oldest', async () => {
    const simulator = zoho({ zoho: { throttle: 'off' } });
    const { refreshToken } = mint(simulator);
    const made: string[] = [];
    for (let count = 0; count < 16; count += 1)
      made.push(String((await refresh(simulator, refreshToken)).body['access_token']));
    const statusOf = async (token = '') =>
      (
        await simulator.fetch(
          new Request('https://www.zohoapis.com/crm/v8/org', {
            headers: { authorization: `Zoho-oauthtoken ${token}` },
          }),
        )
      ).status;
    expect(await statusOf(made[0])).toBe(401);
    expect(await statusOf(made[1])).toBe(200);
  });

  it('evicts the oldest of twenty refresh tokens silently, in use or not', async () => {
    const simulator = zoho({ zoho: { codes: 'off', refreshTokenCreation: 'off' } });
    const made: string[] = [];
    for (let count = 0; count < 21; count += 1) {
      const { callback } = await authorize(simulator, { prompt: 'consent' });
      made.push(String((await exchange(simulator, callback.get('code') ?? '')).body['refresh_token']));
    }
    expect(made.map((token) => simulator.isAlive(token))).toEqual([false, ...Array<boolean>(20).fill(true)]);
    expect((await refresh(simulator, made[0])).body).toEqual({ error: 'invalid_code' });
  });

  it('can count refresh tokens per user, and refuse the next instead of killing the oldest', async () => {
    const clients = [{ clientId: 'second', secret: 's' }];
    const refreshTokens = { max: 2, overflow: 'refuse', per: 'user' } as const;
    const simulator = zoho({ clients, zoho: { refreshTokens, codes: 'off', refreshTokenCreation: 'off' } });
    const tokens = [mint(simulator).refreshToken, mint(simulator).refreshToken];
    const { callback } = await authorize(simulator, { client_id: 'second' });
    const other = { client_id: 'second', client_secret: 's' };
    expect((await exchange(simulator, callback.get('code') ?? '', other)).body).toEqual({ error: 'Access Denied' });
    expect(tokens.every((token) => simulator.isAlive(token))).toBe(true);
    simulator.zoho.change({ refreshTokens: { ...refreshTokens, overflow: 'evict' } });
    expect((await exchange(simulator, callback.get('code') ?? '', other)).body).toHaveProperty('refresh_token');
    expect(tokens.map((token) => simulator.isAlive(token))).toEqual([false, true]);
  });

  it('refuses the tokens of a deactivated user until they are back', async () => {
    const simulator = zoho();
    const { refreshToken } = mint(simulator);
    simulator.registry.setActive('user@us.example', false);
    expect((await refresh(simulator, refreshToken)).body).toEqual({ error: 'invalid_code' });
    simulator.registry.setActive('user@us.example', true);
    expect((await refresh(simulator, refreshToken)).body).toHaveProperty('access_token');
  });

  it('makes ten codes per ten minutes and client', async () => {
    const simulator = zoho({ zoho: { refreshTokenCreation: 'off' } });
    const errors: unknown[] = [];
    for (let count = 0; count < 11; count += 1) {
      const { callback } = await authorize(simulator, { prompt: 'consent' });
      errors.push((await exchange(simulator, callback.get('code') ?? '')).body['error']);
    }
    expect(errors).toEqual([...Array<undefined>(10).fill(undefined), 'access_denied']);
  });
});
