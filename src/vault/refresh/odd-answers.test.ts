/** Answers that arrive whole, with the only working tokens in them, in a form that is not quite right. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import type { TestWorld } from '../../../test/support/world.ts';
import { isGrantryError } from '../../base/errors.ts';

const forms: readonly [string, (text: string) => string][] = [
  ['a warning in front', (text) => `<br />\n<b>Warning</b>: Undefined index: "x in /a.php on line 3<br />\n${text}`],
  ['a comment behind', (text) => `${text}\n<!-- 0.03 s -->`],
  ['a member twice', (text) => text.replace(/}$/, ',"expires_in":3600}')],
  ['a member twice elsewhere', (text) => text.replace(/}$/, ',"user":{"id":1,"id":1}}')],
  ['a trailing comma', (text) => text.replace(/}$/, ',}')],
  ['17 levels', (text) => text.replace(/}$/, `,"deep":${'['.repeat(17)}${']'.repeat(17)}}`)],
  ['no last brace', (text) => text.replace(/}$/, '')],
  ['a list around it', (text) => `[${text}]`],
  ['a quote in a text', (text) => text.replace(/}$/, ',"note":"5" wide"}')],
];

/** Forms in which more than one token could be the right one. */
const doubtful: readonly [string, (text: string) => string][] = [
  ['another refresh token in front', (text) => text.replace('{', '{"refresh_token":"another",')],
  ['another refresh token behind', (text) => text.replace(/}$/, ',"refresh_token":"another"}')],
  ['an envelope', (text) => `{"ok":true,"data":${text}}`],
  ['an error beside', (text) => text.replace(/}$/, ',"error":"warming_up"}')],
  ['the start missing', (text) => text.slice(6)],
];

const codeOfError = (error: unknown) => (isGrantryError(error) ? error.code : 'defect');

/** Rewrites the next answer only. */
function once(world: TestWorld, form: (text: string) => string): void {
  world.rewrite = (text) => {
    world.rewrite = null;
    return form(text);
  };
}

describe.each(['strict', 'strict_revokes_family', 'none'])('at %s', (provider) => {
  // The forms differ only in the parser, which has tests of its own.
  it.each(provider === 'strict' ? forms : forms.slice(0, 3))('an answer with %s is saved', async (_name, form) => {
    await using bench = await makeBench({ profiles: [provider] });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault, { provider });
    once(world, form);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(3_600_000);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
  });
});

describe.each(databaseKinds)('on %s', (kind) => {
  it.each(kind === 'sqlite' ? doubtful : doubtful.slice(0, 1))(
    'an answer with %s loses no token',
    async (_name, form) => {
      await using bench = await makeBench({ kind, profiles: ['strict'] });
      const { vault, world } = await bench.open();
      const { key, minted } = await bench.connect(vault);
      once(world, form);
      const codes = new Set<string>();
      for (let tries = 0; tries < 6; tries += 1) {
        codes.add(await vault.getAccessToken(key).then(() => 'token', codeOfError));
        await bench.jump(31_000);
      }
      expect((await bench.row(key)).state).toBe('active');
      expect(codes).not.toContain('reauthorization_required');
      expect(codes).toContain('token');
      expect(bench.simulator.family(minted.family)?.alive).toBe(true);
      expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    },
  );

  it('a value that no database stores is dropped, and the tokens are saved', async () => {
    await using bench = await makeBench({
      kind,
      profiles: ['strict'],
      change: (each) => ({ ...each, capture: { token: { company: 'company', realm: 'realm' } } }),
    });
    const warnings: string[] = [];
    const logger = {
      debug() {},
      info() {},
      error() {},
      warn: (text: string, more?: object) => void warnings.push(text + JSON.stringify(more)),
    };
    const { vault, world } = await bench.open({ logger });
    const { key } = await bench.connect(vault);
    once(world, (text) => text.replace(/}$/, ',"company":"Caf\\ud800","realm":"a\\u0000b"}'));
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(JSON.parse((await bench.row(key)).metadata)).toEqual({});
    expect(warnings.join()).toMatch(/dropped.*company.*realm/);
    expect(warnings.join()).not.toContain('Caf');
    // An ordinary answer is no reason for a warning.
    await bench.jump(3_600_000);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    expect(warnings.filter((text) => text.includes('dropped'))).toHaveLength(1);
  });
});

it('a refusal that repeats the spent token is recognised', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault, world } = await bench.open();
  const { key, minted } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', times: 9, effect: { kind: 'error', error: 'invalid_grant' } });
  world.rewrite = (text) => text.replace(/}$/, `,"refresh_token":"${minted.refreshToken}","access_token":null}`);
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  expect((await bench.row(key)).state).toBe('suspect');
  await bench.jump(31_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
});

it.each(['strict', 'none'])('the error tells why an answer is of no use, at %s', async (provider) => {
  await using bench = await makeBench({ profiles: [provider] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault, { provider });
  once(world, () => '<html>Welcome</html>');
  await expect(vault.getAccessToken(key)).rejects.toThrow('the response holds no token that can be read');
});

describe('a lifetime that is no positive number counts as missing', () => {
  it.each(['0', '-1', '"0"', '"never"', '{}', 'NaN'])('%s', async (life) => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none' });
    world.rewrite = (text) => text.replace(/"expires_in":\d+/, `"expires_in":${life}`);
    for (let calls = 0; calls < 5; calls += 1) {
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      await bench.jump(1_000);
    }
    expect(bench.requests()).toHaveLength(1);
  });
});

describe('the exchange of a code', () => {
  const redirectUri = 'https://app.example/oauth/callback';
  const key = { tenant: 'acme', provider: 'strict' };

  async function exchanged(bench: Bench, form: (text: string) => string) {
    const { vault, world } = await bench.open();
    await bench.addApp(vault, 'strict');
    const { url } = await vault.authorize({ ...key, redirectUri });
    const consent = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
    once(world, form);
    return { vault, grant: vault.completeAuthorization(consent.headers.get('location') ?? '') };
  }

  it.each([...forms.slice(0, 3), ...doubtful.slice(2)])(
    'keeps the tokens of an answer with %s',
    async (_name, form) => {
      await using bench = await makeBench({ profiles: ['strict'] });
      const { vault, grant } = await exchanged(bench, form);
      expect((await grant).state).toBe('active');
      await vault.getAccessToken(key);
      await bench.jump(3_600_000);
      await vault.getAccessToken(key);
      expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    },
  );

  it.each([
    ['<html>Service</html>', 'holds no token that can be read'],
    ['{"access_token":"at","refresh_token":"r', 'has tokens and is broken or contradicts itself'],
    ['{"ok":true}', 'has neither a token nor an error'],
  ])('tells why an answer is of no use: %s', async (body, reason) => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { grant } = await exchanged(bench, () => body);
    const error: unknown = await grant.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'authorization_failed',
      message: `strict answered the code with status 200, but the response ${reason}.`,
    });
  });
});
