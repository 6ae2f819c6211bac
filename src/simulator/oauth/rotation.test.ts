import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  builtInProfile,
  createSimulator,
  demoClient,
  type OAuthProfile,
  rotationProfiles,
  type Simulator,
} from '../index.ts';

interface SimulatorAnswer {
  readonly status: number;
  readonly access?: string | undefined;
  readonly refresh?: string | undefined;
  readonly error?: string | undefined;
}

/** Creates a server with a clock that only the test moves, and one grant. */
function grantAt(profile: string | OAuthProfile) {
  const simulator = createSimulator({ profiles: [profile], now: () => 1_000_000 });
  const id = typeof profile === 'string' ? profile : profile.id;
  const consent = { profile: id, clientId: demoClient.clientId, user: 'user@us.example', scopes: ['read'] };
  return { simulator, id, tokens: simulator.mintTokens(consent), consent };
}

async function refresh(simulator: Simulator, id: string, refreshToken: string): Promise<SimulatorAnswer> {
  const origin = simulator.origins()[id];
  const fields = {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: demoClient.clientId,
    client_secret: demoClient.secret ?? '',
  };
  const response = await simulator.fetch(
    new Request(`${origin}/token`, { method: 'POST', body: new URLSearchParams(fields) }),
  );
  const body = z.record(z.string(), z.unknown()).parse(await response.json());
  return {
    status: response.status,
    access: text(body['access_token']),
    refresh: text(body['refresh_token']),
    error: text(body['error']),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

async function call(simulator: Simulator, id: string, accessToken: string): Promise<number> {
  const headers = { authorization: `Bearer ${accessToken}` };
  return (await simulator.fetch(new Request(`${simulator.origins()[id]}/api/organization`, { headers }))).status;
}

describe('the rotation classes', () => {
  it('none: the token stays, and no answer has another', async () => {
    const { simulator, tokens } = grantAt('none');
    const first = await refresh(simulator, 'none', tokens.refreshToken);
    const second = await refresh(simulator, 'none', tokens.refreshToken);
    expect(first.refresh).toBeUndefined();
    expect(second.status).toBe(200);
    expect(second.access).not.toBe(first.access);
    expect(simulator.history.duplicateSpends()).toHaveLength(0);
  });

  it('strict: a spent token is refused and its successor lives on', async () => {
    const { simulator, tokens } = grantAt('strict');
    const first = await refresh(simulator, 'strict', tokens.refreshToken);
    expect(simulator.isAlive(tokens.refreshToken)).toBe(false);
    expect((await refresh(simulator, 'strict', tokens.refreshToken)).error).toBe('invalid_grant');
    expect(simulator.isAlive(first.refresh ?? '')).toBe(true);
    expect(simulator.currentRefreshToken(tokens.family)).toBe(first.refresh);
    expect(simulator.history.duplicateSpends()).toHaveLength(1);
  });

  it('strict_revokes_family: a replay kills the successor and its access token', async () => {
    const { simulator, tokens, id } = grantAt('strict_revokes_family');
    const first = await refresh(simulator, id, tokens.refreshToken);
    expect(await call(simulator, id, first.access ?? '')).toBe(200);
    await refresh(simulator, id, tokens.refreshToken);
    expect(simulator.isAlive(first.refresh ?? '')).toBe(false);
    expect(await call(simulator, id, first.access ?? '')).toBe(401);
    expect(simulator.family(tokens.family)).toMatchObject({ alive: false, living: 0, current: null });
  });

  it('timed_overlap: the spent token works until the very end of its overlap', async () => {
    const { simulator, tokens, id } = grantAt(builtInProfile('timed_overlap', { rotation: { overlapSeconds: 10 } }));
    const first = await refresh(simulator, id, tokens.refreshToken);
    simulator.clock.advance(9_999);
    const replay = await refresh(simulator, id, tokens.refreshToken);
    expect(replay.status).toBe(200);
    expect(replay.refresh).not.toBe(first.refresh);
    expect([first.refresh, replay.refresh].every((token) => simulator.isAlive(token ?? ''))).toBe(true);
    simulator.clock.advance(1);
    expect((await refresh(simulator, id, tokens.refreshToken)).error).toBe('invalid_grant');
    expect(simulator.isAlive(first.refresh ?? '')).toBe(true);
  });

  it('timed_overlap with the same answer: a replay brings the lost pair back', async () => {
    const { simulator, tokens, id } = grantAt(builtInProfile('timed_overlap', { rotation: { replay: 'same' } }));
    const first = await refresh(simulator, id, tokens.refreshToken);
    expect(await refresh(simulator, id, tokens.refreshToken)).toEqual(first);
  });

  it('overlap_newest_only: of several successors only the last one lives', async () => {
    const { simulator, tokens, id } = grantAt('overlap_newest_only');
    const first = await refresh(simulator, id, tokens.refreshToken);
    const second = await refresh(simulator, id, tokens.refreshToken);
    expect(simulator.isAlive(first.refresh ?? '')).toBe(false);
    expect(simulator.isAlive(second.refresh ?? '')).toBe(true);
    expect(await call(simulator, id, first.access ?? '')).toBe(401);
    // Presenting the replaced token again ends the whole grant.
    expect((await refresh(simulator, id, first.refresh ?? '')).error).toBe('invalid_grant');
    expect(simulator.isAlive(second.refresh ?? '')).toBe(false);
  });

  it.each(['access', 'refresh'] as const)(
    'retire_on_use: the first use of the new %s token retires the old one',
    async (kind) => {
      const { simulator, tokens, id } = grantAt('retire_on_use');
      const first = await refresh(simulator, id, tokens.refreshToken);
      simulator.clock.advance(30 * 86_400_000);
      const again = await refresh(simulator, id, tokens.refreshToken);
      expect(again.status).toBe(200);
      expect(simulator.isAlive(tokens.refreshToken)).toBe(true);
      if (kind === 'access') expect(await call(simulator, id, again.access ?? '')).toBe(200);
      else await refresh(simulator, id, again.refresh ?? '');
      expect(simulator.isAlive(tokens.refreshToken)).toBe(false);
      expect((await refresh(simulator, id, tokens.refreshToken)).error).toBe('invalid_grant');
      expect(simulator.isAlive(first.refresh ?? '')).toBe(true);
    },
  );

  it('ends unused and old grants where the server says so', async () => {
    const profile = builtInProfile('none', { idleSeconds: 100, absoluteSeconds: 250 });
    const { simulator, tokens, id } = grantAt(profile);
    simulator.clock.advance(90_000);
    expect((await refresh(simulator, id, tokens.refreshToken)).status).toBe(200);
    simulator.clock.advance(90_000);
    expect((await refresh(simulator, id, tokens.refreshToken)).status).toBe(200);
    simulator.clock.advance(90_000);
    expect(simulator.isAlive(tokens.refreshToken)).toBe(false);
    const { simulator: other, tokens: unused } = grantAt(profile);
    other.clock.advance(100_001);
    expect(other.isAlive(unused.refreshToken)).toBe(false);
  });

  it('accepts a token exactly when isAlive says so, in every class', async () => {
    const step = fc.record({
      which: fc.nat(12),
      advanceMs: fc.constantFrom(0, 0, 1_000, 59_999, 60_001),
      use: fc.boolean(),
    });
    const run = async (id: string, steps: readonly { which: number; advanceMs: number; use: boolean }[]) => {
      const { simulator, tokens } = grantAt(id);
      const known = [tokens.refreshToken];
      for (const { which, advanceMs, use } of steps) {
        simulator.clock.advance(advanceMs);
        const token = known[which % known.length] ?? '';
        const expected = simulator.isAlive(token);
        const answer = await refresh(simulator, id, token);
        expect(answer.status === 200).toBe(expected);
        if (answer.refresh !== undefined) known.push(answer.refresh);
        if (use && answer.access !== undefined) expect(await call(simulator, id, answer.access)).toBe(200);
        const current = simulator.currentRefreshToken(tokens.family);
        expect(known.some((each) => simulator.isAlive(each))).toBe(current !== null);
        if (id.startsWith('strict')) expect(simulator.family(tokens.family)?.living).toBeLessThanOrEqual(1);
      }
    };
    const property = fc.asyncProperty(fc.constantFrom(...rotationProfiles), fc.array(step, { maxLength: 25 }), run);
    await fc.assert(property, { numRuns: 60 });
  });
});
