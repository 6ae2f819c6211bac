/** Requests to a token endpoint, their number, and the use of its answers. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuthorizationServer, type Heard, json } from './authorization-server.ts';
import { RedTeam, returnTo } from './bench.ts';

let team: RedTeam;
let honest: AuthorizationServer;
let evil: AuthorizationServer;
let tenants = 0;

beforeAll(async () => {
  team = await RedTeam.start();
  honest = await team.provider('honest');
  evil = await team.provider('evil');
  await team.app('honest-app', 'honest', { scopes: ['read', 'write'] });
});

afterAll(() => team[Symbol.asyncDispose]());

function newTenant(): string {
  tenants += 1;
  return `tenant-${tenants}`;
}

async function run(rules: AuthorizationServer['rules'], more: Record<string, unknown> = {}) {
  const tenant = newTenant();
  const session = await team.session({ tenant, provider: 'honest', ...more });
  const before = honest.at('/token').length;
  honest.rules = rules;
  const answer = await team.visitor().connect(session.url, honest);
  honest.rules = {};
  const { status, body } = await team.api('GET', `/v1/tenants/${tenant}/grants/honest`);
  return {
    answer,
    session,
    looked: await team.look(session.id),
    sent: honest.at('/token').slice(before),
    grant: status === 200 ? body : null,
  };
}

describe('C-01: authorization codes, and nothing else', () => {
  it('C-01 a definition cannot ask for a token in the browser, nor for a password grant', async () => {
    const sly = await team.provider(
      'sly',
      {},
      {
        authorizationParameters: { response_type: 'token', response_mode: 'query' },
        refreshParameters: { grant_type: 'password', username: 'u', refresh_token: 'x' },
      },
    );
    await team.app('sly-app', 'sly');
    const tenant = newTenant();
    const visitor = team.visitor();
    const url = new URL(await visitor.start((await team.session({ tenant, provider: 'sly' })).url));
    expect(url.searchParams.getAll('response_type')).toEqual(['code']);
    const { redirectUri, callback } = sly.consent(url.href);
    await visitor.callback(redirectUri, callback);
    await team.vault.rejectAccessToken({ tenant, provider: 'sly' }, 1).catch(() => {});
    const forms = sly.at('/token').map(({ form }) => form.getAll('grant_type'));
    expect(forms).toEqual([['authorization_code'], ['refresh_token']]);
    expect(sly.at('/token').at(-1)?.form.getAll('refresh_token')).toEqual([expect.stringMatching(/^refresh-/)]);
  });
});

describe('C-11: the redirect URI', () => {
  it('C-11 is byte for byte the same in both requests, and the app’s own', async () => {
    const { body: app } = await team.api('GET', '/v1/apps/honest-app');
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const visitor = team.visitor();
    const url = new URL(await visitor.start(session.url));
    expect(url.searchParams.get('redirect_uri')).toBe(app.redirect_uri);
    const { redirectUri, callback } = honest.consent(url.href);
    await visitor.callback(redirectUri, callback);
    expect(honest.at('/token').at(-1)?.form.get('redirect_uri')).toBe(app.redirect_uri);
  });

  it.each([
    'http://grants.example/callback',
    'https://grants.example/callback#x',
    'https://u:p@grants.example/',
    '/callback',
  ])('C-11 an app takes no redirect URI such as %s', async (address) => {
    const body = { provider: 'honest', client_id: 'c', client_secret: 's', redirect_uri: address };
    expect((await team.api('PUT', '/v1/apps/refused', body)).status).toBe(400);
  });
});

describe('C-16: scopes', () => {
  it.each([
    ['fewer', { scope: 'read' }, ['read'], ['write'], []],
    ['more', { scope: 'read write admin' }, ['read', 'write', 'admin'], [], ['admin']],
    ['in another order', { scope: 'write read' }, ['write', 'read'], [], []],
    ['unsaid', { scope: undefined }, ['read', 'write'], [], []],
    ['others', { scope: 'admin' }, ['admin'], ['read', 'write'], ['admin']],
  ])(
    'C-16 granted scopes that are %s are recorded, and the difference is reported',
    async (_, tokens, scopes, narrower, wider) => {
      const { grant, looked } = await run({ tokens });
      expect(grant?.scopes).toEqual(scopes);
      expect([looked.granted_scopes, looked.narrower, looked.wider]).toEqual([scopes, narrower, wider]);
    },
  );

  it('C-16 nothing but the asked-for scopes is requested', async () => {
    const visitor = team.visitor();
    const session = await team.session({ tenant: newTenant(), provider: 'honest', scopes: ['read'] });
    expect(new URL(await visitor.start(session.url)).searchParams.get('scope')).toBe('read');
  });
});

describe('C-17: a code is exchanged once', () => {
  it('C-17 when the answer is lost after the request was sent, there is one request, and the link starts again', async () => {
    const { answer, looked, sent, grant, session } = await run({
      answerToken: (_heard, response) => {
        response.destroy();
        return true;
      },
    });
    expect([answer.status, sent.length, grant]).toEqual([400, 1, null]);
    expect([looked.state, looked.error]).toEqual(['started', 'authorization_failed']);
    expect(answer.text).toContain('Open the link again');
    expect((await team.visitor().get(session.url)).status).toBe(403);
  });

  it.each([
    ['a server error', 500, {}],
    ['an answer that is no JSON', 200, 'hello'],
    ['a refusal', 400, { error: 'invalid_grant' }],
    ['a refused client', 401, { error: 'invalid_client' }],
    ['success without a token', 200, {}],
  ])('C-17 after %s there is no second request', async (_, status, body) => {
    const { answer, sent, grant } = await run({
      answerToken: (_heard, response) => {
        json(response, status, body);
        return true;
      },
    });
    expect([answer.status, sent.length, grant]).toEqual([400, 1, null]);
  });

  it('C-17 an application hears of a failed exchange by a code, and no grant is half made', async () => {
    const refuse = (_heard: Heard, response: Parameters<typeof json>[0]): boolean => {
      json(response, 401, { error: 'invalid_client' });
      return true;
    };
    const { answer, grant, session } = await run({ answerToken: refuse }, { return_to: returnTo });
    expect(answer.location?.href).toBe(`${returnTo}?session=${session.id}&error=provider_misconfigured`);
    expect(grant).toBeNull();
  });
});

describe('C-18: sign-in is not what this is for', () => {
  it('C-18 an id token in the answer is neither believed nor kept', async () => {
    const idToken = `eyJhbGciOiJub25lIn0.${Buffer.from('{"sub":"admin","email":"boss@acme.example"}').toString('base64url')}.`;
    const { answer, grant } = await run({ tokens: { id_token: idToken } });
    expect([answer.status, grant?.state]).toEqual([303, 'active']);
    expect(JSON.stringify(grant)).not.toContain('boss');
    expect(team.stored()).not.toContain(idToken);
  });
});

describe('C-20, C-21 and C-22: to the token endpoint, and nowhere else', () => {
  it('C-20 the secret goes by one way, in the body', async () => {
    const { sent } = await run({});
    expect(sent.map(({ method, query, headers }) => [method, query.size, headers.authorization])).toEqual([
      ['POST', 0, undefined],
    ]);
    expect(sent[0]?.form.getAll('client_secret')).toEqual(['app-secret']);
  });

  it('C-21 an assertion made for the attacker names only the attacker, even if its metadata names another endpoint', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const client_secret = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const issuer = 'https://evil.example';
    const asserted = await team.provider('asserted', {}, { issuer, clientAuthentication: 'private_key_jwt' });
    await team.app('asserted-app', 'asserted', { client_secret });
    const session = await team.session({ tenant: newTenant(), provider: 'asserted' });
    await team.visitor().connect(session.url, asserted);
    const [sent] = asserted.at('/token');
    const [, claims = ''] = sent?.form.get('client_assertion')?.split('.') ?? [];
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'))).toMatchObject({ aud: issuer });
    expect(sent?.form.has('client_secret')).toBe(false);
  });

  it.each([301, 302, 303, 307, 308])(
    'C-22 a token endpoint that redirects with %i is an error, and the redirect is not followed',
    async (status) => {
      const { answer, sent, grant } = await run({
        answerToken: (_heard, response) => {
          response.writeHead(status, { location: `${evil.origin}/token` });
          response.end();
          return true;
        },
      });
      expect([answer.status, sent.length, grant]).toEqual([400, 1, null]);
      expect(evil.heard).toEqual([]);
    },
  );

  it.each([301, 302, 303, 307, 308])('C-22 nor does a refresh follow a redirect with %i', async (status) => {
    const { grant } = await run({});
    expect(grant?.state).toBe('active');
    honest.rules = {
      answerToken: (_heard, response) => {
        response.writeHead(status, { location: `${evil.origin}/token` });
        response.end();
        return true;
      },
    };
    const key = { tenant: `tenant-${tenants}`, provider: 'honest' };
    await expect(team.vault.rejectAccessToken(key, 1)).rejects.toMatchObject({ code: expect.any(String) });
    honest.rules = {};
    expect(evil.heard).toEqual([]);
  });
});
