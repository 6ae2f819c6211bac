/** Causes that a provider names reach the caller, and every later caller while the next try waits. */
import { expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { GrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import { OAuthTokenService } from '../drop-in/token-service.ts';
import type { Vault } from '../types.ts';

async function failureOf(read: Promise<unknown>): Promise<GrantryError> {
  const thrown: unknown = await read.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof GrantryError) return thrown;
  throw new Error('It did not fail as it should.');
}

/** Answers every token request with this body. */
async function answering(bench: Bench, body: object, provider = 'none'): Promise<{ vault: Vault; key: GrantKey }> {
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault, { provider });
  world.rewrite = () => JSON.stringify(body);
  return { vault, key };
}

/** Fails every token request with this status and body. */
async function refusing(bench: Bench, status: number, body: object, provider = 'none') {
  bench.simulator.faults.add({ endpoint: 'token', times: 99, effect: { kind: 'error', error: 'x', status } });
  return answering(bench, body, provider);
}

it('names the token type that the definition does not know', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const body = { access_token: 'at', token_type: 'User Access Token', expires_in: 3_600 };
  const { vault, key } = await answering(bench, body);
  for (const _ of ['the refresh', 'a caller during the back-off']) {
    const error = await failureOf(vault.getAccessToken(key));
    expect(error).toMatchObject({ code: 'provider_error' });
    expect(error.message).toContain('its token type "User Access Token" is neither Bearer nor none\'s scheme Bearer');
  }
});

it('names a useless answer to every caller where tokens rotate', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault, key } = await answering(bench, { access_token: 'at', token_type: 'Odd', expires_in: 3_600 }, 'strict');
  for (const _ of ['the refresh', 'a caller during the back-off']) {
    const error = await failureOf(vault.getAccessToken(key));
    expect(error).toMatchObject({ code: 'refresh_uncertain', reason: 'unusable_answer' });
    expect(error.message).toContain('its token type "Odd"');
  }
});

it('names the status of a failed provider to every caller where tokens rotate', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'status', status: 500, when: 'after' } });
  for (const _ of ['the refresh', 'a caller during the back-off']) {
    const error = await failureOf(vault.getAccessToken(key));
    expect(error).toMatchObject({ code: 'refresh_uncertain', reason: 'unusable_answer' });
    expect(error.message).toContain('strict answered with status 500');
  }
});

it('names the refused app, its data centre and what the provider said', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'zoho' });
  world.rewrite = () => '{"error":"invalid_client_secret","error_description":"The secret is of another client."}';
  const first = await failureOf(vault.getAccessToken(key));
  expect(first).toMatchObject({ code: 'provider_misconfigured', reason: 'client_refused' });
  expect(first.message).toBe(
    'zoho refuses the app zoho in the data centre us (invalid_client_secret: The secret is of another client., status 200).',
  );
  expect(first.action).toContain('the app zoho');
  expect(first.action).toContain('data centre us');
  const later = await failureOf(vault.getAccessToken(key));
  expect(later).toMatchObject({ code: 'provider_misconfigured', reason: 'client_refused', action: first.action });
  expect(later.message).toContain(
    'refuses the app zoho in the data centre us (invalid_client_secret: The secret is of another client.)',
  );
  const report = await vault.health(key);
  expect(report).toMatchObject({ status: 'unhealthy', reason: 'client_refused', action: first.action });
  expect(report).toMatchObject({ message: expect.stringContaining('in the data centre us') });
});

it('names the app to every caller also where the grant is bound to none', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault, world } = await bench.open();
  await bench.connect(vault, { provider: 'zoho' });
  const unbound = { tenant: 'initech', provider: 'zoho' };
  await new OAuthTokenService(vault).storeTokens('initech', 'zoho', {
    accessToken: 'a',
    refreshToken: 'r',
    expiresIn: 1,
    metadata: { dc: 'eu' },
  });
  await bench.jump(2_000);
  world.rewrite = () => '{"error":"invalid_client"}';
  for (const _ of ['the refresh', 'a caller during the back-off']) {
    const error = await failureOf(vault.getAccessToken(unbound));
    expect(error.message).toContain('refuses the app zoho in the data centre eu (invalid_client');
    expect(error.action).toContain('the app zoho');
  }
});

it('tells the provider’s words with a refused grant, also after the verdict', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const body = { error: 'invalid_grant', error_description: 'The user left the organisation.' };
  const { vault, key } = await refusing(bench, 400, body);
  for (const _ of ['the refusal', 'the pause']) {
    const error = await failureOf(vault.getAccessToken(key));
    expect(error).toMatchObject({ code: 'refresh_uncertain', reason: 'refused' });
    expect(error.message).toContain('once (invalid_grant: The user left the organisation.)');
  }
  await bench.jump(31_000);
  for (const _ of ['the verdict', 'a later call']) {
    const error = await failureOf(vault.getAccessToken(key));
    expect(error).toMatchObject({ code: 'reauthorization_required', reason: 'refused' });
    expect(error.message).toContain('it said: invalid_grant: The user left the organisation.');
  }
});

it('quotes only the refusal as the words of a refusal, also after a later failure', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'none' });
  const refusal = { kind: 'error', error: 'invalid_grant', description: 'The user left.' } as const;
  bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: refusal });
  await failureOf(vault.getAccessToken(key));
  await bench.jump(31_000);
  world.offline = true;
  for (const _ of ['a try without a network', 'a call in its pause']) {
    expect((await failureOf(vault.getAccessToken(key))).message).not.toContain('(not reached)');
  }
  expect((await failureOf(vault.getAccessToken(key))).message).toContain('once (invalid_grant: The user left.)');
  world.offline = false;
  await bench.jump(31_000);
  expect(await failureOf(vault.getAccessToken(key))).toMatchObject({ code: 'reauthorization_required' });
  world.offline = true;
  await vault.recover(key);
  expect((await failureOf(vault.getAccessToken(key))).message).toContain('it said: invalid_grant: The user left.');
});

it('quotes no provider whose answer was lost', async () => {
  await using bench = await makeBench({
    profiles: ['strict'],
    change: (each) => ({ ...each, refreshToken: { ...each.refreshToken, replayAfterLoss: false } }),
  });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  await failureOf(vault.getAccessToken(key));
  await bench.jump(121_000);
  const error = await failureOf(vault.getAccessToken(key));
  expect(error).toMatchObject({ code: 'reauthorization_required', reason: 'lost_rotation' });
  expect(error.message).not.toContain('it said');
});

it('tells a cause that is not where RFC 6749 has it', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const body = { status: 'BAD_REFRESH_TOKEN', message: 'missing or unknown refresh token' };
  const { vault, key } = await refusing(bench, 400, body);
  const error = await failureOf(vault.getAccessToken(key));
  expect(error).toMatchObject({ code: 'provider_error', reason: 'not_understood' });
  expect(error.message).toContain('(BAD_REFRESH_TOKEN: missing or unknown refresh token, status 400)');
});

it('never repeats a token that an error echoes', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault, world } = await bench.open();
  const { key, minted } = await bench.connect(vault, { provider: 'none' });
  world.rewrite = () => JSON.stringify({ error_description: `bad ${minted.refreshToken}`, error: 'invalid_client' });
  for (const _ of ['the refresh', 'the back-off']) {
    const error = await failureOf(vault.getAccessToken(key));
    expect(`${error.message} ${error.action}`).not.toContain(minted.refreshToken);
    expect(error.message).toContain('bad …');
  }
});

it('never repeats a secret that a person chose, not from a refresh and not from a code', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault, world } = await bench.open();
  const [clientSecret, refreshToken, code] = ['correct-horse-battery', 'open-sesame-please', 'let-me-in-today'];
  const redirectUri = 'https://app.example/callback';
  await vault.apps.put('none', { provider: 'none', clientId: 'client', clientSecret, redirectUri });
  const key = { tenant: 'acme', provider: 'none' };
  await vault.storeTokens(key, { app: 'none', refreshToken });
  const { url } = await vault.authorize({ ...key, redirectUri });
  const state = new URL(url).searchParams.get('state') ?? '';
  const callback = `${redirectUri}?${new URLSearchParams({ code, state }).toString()}`;
  for (const [sent, call] of [
    [code, () => vault.completeAuthorization(callback)],
    [refreshToken, () => vault.getAccessToken(key)],
    [refreshToken, () => vault.getAccessToken(key)],
  ] as const) {
    const words = `bad ${sent} with ${clientSecret.toUpperCase()}`;
    world.rewrite = () => JSON.stringify({ error: words, error_description: words });
    const { message, action } = await failureOf(call());
    expect(message).toContain('bad … with …');
    for (const secret of [sent, clientSecret]) {
      expect(`${message} ${action}`.toLowerCase()).not.toContain(secret);
    }
  }
});
