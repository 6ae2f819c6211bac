/** The database goes away while a browser is on its way back, when the tokens are nowhere else. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { GrantryError } from '../../src/base/errors.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import type { AuthorizationServer } from './authorization-server.ts';
import { RedTeam, returnTo } from './bench.ts';

let team: RedTeam;
let honest: AuthorizationServer;
let tenants = 0;

beforeAll(async () => {
  team = await RedTeam.start();
  honest = await team.provider('honest');
  await team.app('honest-app', 'honest');
});

afterEach(() => vi.restoreAllMocks());
afterAll(() => team[Symbol.asyncDispose]());

/** From the next token answer on, so many transactions fail: before they were kept, or when they had been. */
function failTransactions(count: number, when: 'before' | 'after'): void {
  const { store } = internalsOf(team.vault).open();
  const real = store.transaction.bind(store);
  let left = count;
  vi.spyOn(store, 'transaction').mockImplementation(async (run, options) => {
    const exchanged = honest.at('/token').length > answersBefore;
    if (!exchanged || left === 0) return real(run, options);
    left -= 1;
    if (when === 'after') await real(run, options);
    throw new GrantryError('storage_unavailable', 'The database went away.');
  });
}

let answersBefore = 0;

async function connect(more: Record<string, unknown> = {}) {
  tenants += 1;
  const tenant = `tenant-${tenants}`;
  const session = await team.session({ tenant, provider: 'honest', ...more });
  answersBefore = honest.at('/token').length;
  return { tenant, session };
}

describe('tokens that came while the database was away', () => {
  it.each(['before', 'after'] as const)('are stored when it is back (it went %s the commit)', async (when) => {
    const { tenant, session } = await connect();
    failTransactions(2, when);
    const back = await team.visitor().connect(session.url, honest);
    expect([back.status, (await team.look(session.id)).state]).toEqual([303, 'completed']);
    expect((await team.vault.getAccessToken({ tenant, provider: 'honest' })).generation).toBe(1);
  });

  it.each(['before', 'after'] as const)(
    'are held for the code when it is back (it went %s the commit)',
    async (when) => {
      const { tenant, session } = await connect({ return_to: returnTo });
      failTransactions(2, when);
      const revoked = honest.at('/revoke').length;
      const back = await team.visitor().connect(session.url, honest);
      const code = back.location?.searchParams.get('code');
      const done = await team.api('POST', `/v1/connect-sessions/${session.id}/complete`, { completion_code: code });
      expect([done.status, done.body.state]).toEqual([200, 'active']);
      await team.tidy();
      expect(honest.at('/revoke').length).toBe(revoked);
      expect((await team.vault.getAccessToken({ tenant, provider: 'honest' })).generation).toBe(1);
    },
  );

  it.each([undefined, returnTo])(
    'are stored when the browser reloads after a long outage (return_to: %s)',
    async (to) => {
      const { tenant, session } = await connect(to === undefined ? {} : { return_to: to });
      failTransactions(1_000, 'before');
      const impatient = setInterval(() => {
        team.clock.ms += 5_000;
      }, 100);
      const visitor = team.visitor();
      const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
      const back = await visitor.callback(redirectUri, callback);
      clearInterval(impatient);
      expect([back.status, back.text.includes('reload this page')]).toEqual([503, true]);
      vi.restoreAllMocks();
      const asked = honest.at('/token').length;
      const again = await visitor.callback(redirectUri, callback);
      expect([again.status, honest.at('/token').length]).toEqual([303, asked]);
      if (to !== undefined) {
        const completion = { completion_code: again.location?.searchParams.get('code') };
        expect((await team.api('POST', `/v1/connect-sessions/${session.id}/complete`, completion)).status).toBe(200);
      }
      expect((await team.look(session.id)).state).toBe('completed');
      expect((await team.vault.getAccessToken({ tenant, provider: 'honest' })).generation).toBe(1);
      // A callback once more leads to the same end.
      expect((await visitor.callback(redirectUri, callback)).location).toEqual(again.location);
      expect((await team.visitor().callback(redirectUri, callback)).status).toBe(400);
    },
  );

  it('are revoked when the person started anew meanwhile', async () => {
    const { tenant, session } = await connect();
    failTransactions(1_000, 'before');
    const impatient = setInterval(() => {
      team.clock.ms += 5_000;
    }, 100);
    const visitor = team.visitor();
    expect((await visitor.connect(session.url, honest)).status).toBe(503);
    clearInterval(impatient);
    vi.restoreAllMocks();
    expect((await visitor.connect(session.url, honest)).status).toBe(303);
    const revoked = honest.at('/revoke').length;
    await team.tidy();
    await team.tidy();
    expect(honest.at('/revoke').length).toBe(revoked + 1);
    expect((await team.vault.getAccessToken({ tenant, provider: 'honest' })).generation).toBe(1);
  });
});
