/** A consent is stored late only if nothing newer came to its grant: no disconnect, no tokens of a program, no later consent. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench } from '../../../test/support/bench.ts';
import { newConsent } from '../../../test/support/new-consent.ts';
import { checkKey } from '../../base/ids.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { type ConsentTime, seenOf } from './newest.ts';
import { putAuthorization } from './put-authorization.ts';

const key = checkKey({ tenant: 'acme', provider: 'none' });

let bench: Bench;
let vault: Vault;
let context: VaultContext;

beforeEach(async () => {
  bench = await makeBench({ profiles: ['none'] });
  ({ vault } = await bench.open());
  await bench.addApp(vault, 'none');
  context = internalsOf(vault).open();
});

afterEach(() => bench[Symbol.asyncDispose]());

/** The moment at which a code is sent. */
async function consentNow(): Promise<ConsentTime> {
  await bench.jump(1_000);
  const row = await findGrant(context.store.db, key);
  return { at: await context.store.nowMs(), seen: row === undefined ? null : seenOf(row) };
}

/** Stores the tokens of a consent. */
const store = (consented: ConsentTime, refreshToken: string) =>
  putAuthorization(context, key, newConsent('none', refreshToken, { consented }));

it('is stored where nothing has come: as a new grant, in a grant, and in the place of one that had ended', async () => {
  expect(await store(await consentNow(), 'first')).toMatchObject({ generation: 1 });
  expect(await store(await consentNow(), 'second')).toMatchObject({ generation: 2 });
  await vault.disconnect(key, { revoke: false });
  expect(await store(await consentNow(), 'third')).toMatchObject({ state: 'active', generation: 3 });
});

it('is not stored after a disconnect of the grant that it saw', async () => {
  await store(await consentNow(), 'first');
  const consented = await consentNow();
  await vault.disconnect(key, { revoke: false });
  expect(await codeOf(store(consented, 'late'))).toBe('authorization_failed');
  expect((await bench.row(key)).state).toBe('disconnected');
});

it('is stored over a consent before it that was under way at once, but not after a disconnect', async () => {
  const [one, other, last] = [await consentNow(), await consentNow(), await consentNow()];
  await store(one, 'first');
  expect(await store(other, 'second')).toMatchObject({ generation: 2 });
  await vault.disconnect(key, { revoke: false });
  expect(await codeOf(store(last, 'late'))).toBe('authorization_failed');
});
