/** The front channel: starting and finishing a flow, against an honest authorization server and an attacking one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuthorizationServer } from './authorization-server.ts';
import { cookieName, RedTeam, returnTo } from './bench.ts';

let team: RedTeam;
let honest: AuthorizationServer;
let tenants = 0;

beforeAll(async () => {
  team = await RedTeam.start();
  honest = await team.provider('honest');
  await team.app('honest-app', 'honest');
});

afterAll(() => team[Symbol.asyncDispose]());

/** A tenant that no other test knows. */
function newTenant(): string {
  tenants += 1;
  return `tenant-${tenants}`;
}

async function stateOf(tenant: string, provider = 'honest'): Promise<string> {
  const { status, body } = await team.api('GET', `/v1/tenants/${tenant}/grants/${provider}`);
  return status === 404 ? 'none' : body.state;
}

describe('C-02 and C-03: the verifier and the state', () => {
  it('C-02 every flow has a challenge of its own, and the verifier stays here', async () => {
    const tenant = newTenant();
    const challenges = new Set<string>();
    const states = new Set<string>();
    const redirectUri = 'https://grants.example/callback';
    const flows = 300;
    for (let flow = 0; flow < flows; flow += 1) {
      const { url } = await team.vault.authorize({ tenant, provider: 'honest', redirectUri });
      const { searchParams: query } = new URL(url);
      expect(query.get('code_challenge_method')).toBe('S256');
      expect(query.get('code_challenge')).toMatch(/^[\w-]{43}$/);
      expect(query.has('code_verifier')).toBe(false);
      challenges.add(query.get('code_challenge') ?? '');
      states.add(query.get('state') ?? '');
    }
    expect([challenges.size, states.size]).toEqual([flows, flows]);
  });

  it('C-02 a code of another challenge is refused by the provider, and the session says so', async () => {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest' });
    const visitor = team.visitor();
    const url = new URL(await visitor.start(session.url));
    url.searchParams.set('code_challenge', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM');
    const { redirectUri, callback } = honest.consent(url.href);
    const answer = await visitor.callback(redirectUri, callback);
    expect([answer.status, (await team.look(session.id)).error]).toEqual([400, 'authorization_failed']);
    expect(await stateOf(tenant)).toBe('none');
  });

  it('C-03 where the server ignores PKCE, a forged callback fails all the same', async () => {
    const lax = await team.provider('lax', { ignoresPkce: true });
    await team.app('lax-app', 'lax');
    const tenant = newTenant();
    const victim = team.visitor();
    const session = await team.session({ tenant, provider: 'lax' });
    await victim.start(session.url);
    const attack = await team.session({ tenant: newTenant(), provider: 'lax' });
    const attacker = team.visitor();
    const { redirectUri, callback } = lax.consent(await attacker.start(attack.url));
    for (const state of [callback.get('state') ?? '', 'guessed', '']) {
      const forged = new URLSearchParams(callback);
      forged.set('state', state);
      expect((await victim.callback(redirectUri, forged)).status).toBe(400);
    }
    expect(lax.at('/token')).toEqual([]);
    expect(await stateOf(tenant, 'lax')).toBe('none');
  });
});

describe('C-04: a state counts once, in time, in its own browser', () => {
  it('C-04 a replayed callback exchanges nothing, and its own browser sees the same end', async () => {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest' });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    const asked = honest.at('/token').length;
    const answers = await Promise.all([1, 2, 3, 4].map(() => visitor.callback(redirectUri, callback)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([303, 303, 303, 303]);
    expect((await visitor.callback(redirectUri, callback)).location).toEqual(answers[0]?.location);
    expect((await team.visitor().callback(redirectUri, callback)).status).toBe(400);
    const other = new URLSearchParams(callback);
    other.set('code', 'another');
    expect((await visitor.callback(redirectUri, other)).status).toBe(400);
    expect(honest.at('/token').length).toBe(asked + 1);
    expect(await stateOf(tenant)).toBe('active');
  });

  it('C-04 neither HEAD nor a prefetch uses a callback up, and a long one is read', async () => {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest' });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    callback.append('scope', 'https://www.example.com/auth/some.part.readonly '.repeat(170));
    callback.append('scope', 'twice');
    const url = `${redirectUri}?${callback.toString()}`;
    expect(url.length).toBeGreaterThan(8_192);
    const headers = { cookie: `${cookieName}=${visitor.cookie}` };
    expect((await fetch(url, { method: 'HEAD', headers, redirect: 'manual' })).status).toBe(405);
    const early = await fetch(url, { headers: { ...headers, 'sec-purpose': 'prefetch' }, redirect: 'manual' });
    expect(early.status).toBe(503);
    expect(await stateOf(tenant)).toBe('none');
    expect((await visitor.callback(redirectUri, callback)).status).toBe(303);
    expect(await stateOf(tenant)).toBe('active');
  });

  it('C-04 an expired state is refused', async () => {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest' });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    team.clock.ms += 600_001;
    const answer = await visitor.callback(redirectUri, callback);
    expect([answer.status, await stateOf(tenant)]).toEqual([400, 'none']);
    expect(answer.text).toContain('That took too long');
  });

  it.each(['absent', 'empty', 'repeated'])('C-04 a callback whose state is %s is refused', async (which) => {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest' });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    const forged = new URLSearchParams(callback);
    if (which === 'absent') forged.delete('state');
    if (which === 'empty') forged.set('state', '');
    if (which === 'repeated') forged.append('state', callback.get('state') ?? '');
    expect((await visitor.callback(redirectUri, forged)).status).toBe(400);
    // The forged callbacks did not use up the flow.
    expect((await visitor.callback(redirectUri, callback)).status).toBe(303);
    expect(await stateOf(tenant)).toBe('active');
  });

  it('C-04 a repeated code is refused', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const answer = await team.visitor().connect(session.url, honest, (query) => query.append('code', 'another'));
    expect(answer.status).toBe(400);
  });

  it('C-04 another browser cannot finish, nor use up, a flow', async () => {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest' });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    const other = team.visitor();
    expect((await other.callback(redirectUri, callback)).status).toBe(400);
    await other.start((await team.session({ tenant: newTenant(), provider: 'honest' })).url);
    const refused = await other.callback(redirectUri, callback);
    expect([refused.status, await stateOf(tenant)]).toEqual([400, 'none']);
    expect(refused.text).toContain('This is another browser');
    expect((await visitor.callback(redirectUri, callback)).status).toBe(303);
    expect(await stateOf(tenant)).toBe('active');
  });

  it('C-04 two tabs of one browser, swapped answers of two flows: each state brings its own tenant or nothing', async () => {
    const [first, second] = [newTenant(), newTenant()];
    const visitor = team.visitor();
    const one = honest.consent(await visitor.start((await team.session({ tenant: first, provider: 'honest' })).url));
    const two = honest.consent(await visitor.start((await team.session({ tenant: second, provider: 'honest' })).url));
    const swapped = new URLSearchParams({
      code: one.callback.get('code') ?? '',
      state: two.callback.get('state') ?? '',
    });
    expect((await visitor.callback(two.redirectUri, swapped)).status).toBe(400);
    expect((await visitor.callback(one.redirectUri, one.callback)).status).toBe(303);
    expect([await stateOf(first), await stateOf(second)]).toEqual(['active', 'none']);
  });

  it('C-04 what finishes flows for programs does not finish those of a link', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const { redirectUri, callback } = honest.consent(await team.visitor().start(session.url));
    await expect(team.vault.completeAuthorization(`${redirectUri}?${callback.toString()}`)).rejects.toMatchObject({
      code: 'authorization_failed',
    });
  });

  it('C-04 a flow that a terminal started is not finished by a browser', async () => {
    const tenant = newTenant();
    const { body } = await team.api('GET', '/v1/apps/honest-app');
    const { url } = await team.vault.authorize({ tenant, provider: 'honest', redirectUri: body.redirect_uri });
    const { redirectUri, callback } = honest.consent(url);
    const answer = await team.visitor().callback(redirectUri, callback);
    expect([answer.status, await stateOf(tenant)]).toEqual([400, 'none']);
    expect(answer.text).toContain('Copy the whole address');
    // It is still there for the terminal.
    expect(await team.vault.completeAuthorization(`${redirectUri}?${callback.toString()}`)).toMatchObject({ tenant });
  });

  it('C-04 only hashes of state, link, cookie and completion code are stored', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest', return_to: returnTo });
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(await visitor.start(session.url));
    const back = await visitor.callback(redirectUri, callback);
    const secrets = [
      callback.get('state') ?? '',
      callback.get('code') ?? '',
      session.url.split('/').at(-1) ?? '',
      visitor.cookie ?? '',
      back.location?.searchParams.get('code') ?? '',
    ];
    expect(secrets.every((secret) => secret.length > 20)).toBe(true);
    const stored = team.stored();
    expect(secrets.filter((secret) => stored.includes(secret))).toEqual([]);
  });
});

describe('C-06: who started must be who finishes', () => {
  const user = 'alice';
  async function fixated() {
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: 'honest', return_to: returnTo, user: 'mallory' });
    const victim = team.visitor();
    const back = await victim.connect(session.url, honest);
    return { tenant, session, code: back.location?.searchParams.get('code') ?? '' };
  }
  const complete = (id: string, body: Record<string, unknown>) =>
    team.api('POST', `/v1/connect-sessions/${id}/complete`, body);

  it('C-06 a victim who completes an attacker’s link gives the attacker nothing, and the tokens are revoked', async () => {
    const { tenant, session, code } = await fixated();
    expect(await stateOf(tenant)).toBe('none');
    const revoked = honest.at('/revoke').length;
    const wrong = await complete(session.id, { completion_code: code, user });
    expect([wrong.status, wrong.body.code]).toEqual([400, 'authorization_failed']);
    // There is no second guess, not even with the right name.
    expect((await complete(session.id, { completion_code: code, user: 'mallory' })).status).toBe(400);
    expect([await stateOf(tenant), (await team.look(session.id)).state]).toEqual(['none', 'failed']);
    await team.tidy();
    expect(
      honest
        .at('/revoke')
        .slice(revoked)
        .map(({ form }) => form.get('token')?.startsWith('refresh-')),
    ).toEqual([true]);
  });

  it('C-06 tokens without a confirmation in ten minutes are revoked', async () => {
    // What other tests left behind goes first.
    team.clock.ms += 600_001;
    await team.tidy();
    const { tenant, session, code } = await fixated();
    const revoked = honest.at('/revoke').length;
    team.clock.ms += 600_001;
    expect((await complete(session.id, { completion_code: code, user: 'mallory' })).status).toBe(400);
    await team.tidy();
    expect(honest.at('/revoke').length).toBe(revoked + 1);
    expect([await stateOf(tenant), (await team.look(session.id)).state]).toEqual(['none', 'failed']);
  });

  it('C-06 the code is good once, for its own session, with a user and not without', async () => {
    const [one, two] = [await fixated(), await fixated()];
    expect((await complete(one.session.id, { completion_code: two.code, user: 'mallory' })).status).toBe(400);
    expect((await complete(one.session.id, { completion_code: one.code })).body.code).toBe('invalid_request');
    const redeemed = await Promise.all(
      [1, 2, 3].map(() => complete(one.session.id, { completion_code: one.code, user: 'mallory' })),
    );
    expect(redeemed.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400, 400]);
    expect([await stateOf(one.tenant), await stateOf(two.tenant)]).toEqual(['active', 'none']);
  });

  it('C-06 a user needs a return_to, and an existing grant stays as it is until the code is redeemed', async () => {
    const refused = await team.api('POST', '/v1/connect-sessions', { tenant: 'acme', provider: 'honest', user });
    expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request']);
    const tenant = newTenant();
    await team.visitor().connect((await team.session({ tenant, provider: 'honest' })).url, honest);
    const before = await team.vault.getAccessToken({ tenant, provider: 'honest' });
    const again = await team.session({ tenant, provider: 'honest', return_to: returnTo, user });
    const back = await team.visitor().connect(again.url, honest);
    expect((await team.vault.getAccessToken({ tenant, provider: 'honest' })).accessToken).toBe(before.accessToken);
    const code = back.location?.searchParams.get('code');
    expect((await complete(again.id, { completion_code: code, user })).status).toBe(200);
    expect(await team.vault.getAccessToken({ tenant, provider: 'honest' })).toMatchObject({ generation: 2 });
  });

  it('C-06 a page elsewhere cannot press the button', async () => {
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const victim = team.visitor();
    const page = await victim.get(session.url);
    const proof = /name="proof" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const other = team.visitor();
    await other.get(session.url);
    expect((await other.post(session.url, { proof })).status).toBe(403);
    expect((await team.visitor().post(session.url, { proof })).status).toBe(403);
    expect((await victim.post(session.url, {})).status).toBe(403);
    expect((await victim.post(session.url, { proof }, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await victim.post(session.url, { proof }, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await victim.post(session.url, { proof }, { origin: 'null' })).status).toBe(303);
  });
});
