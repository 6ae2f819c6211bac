/** The demands of `storeTokens` and the classes above it on handed-in tokens. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { internalsOf } from '../internals.ts';
import { handIn } from './store-tokens.ts';

it('asks for tokens, and for a refresh token where there is none yet', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  const context = internalsOf(vault).open();
  await expect(vault.storeTokens(key, JSON.parse('{}'))).rejects.toThrow('The refresh token is missing.');
  await expect(vault.storeTokens(key, JSON.parse('null'))).rejects.toThrow('The refresh token is missing.');
  for (const nothing of ['null', '"a-token"', '7']) {
    await expect(handIn(context, key, JSON.parse(nothing))).rejects.toThrow('The tokens are missing.');
  }
  const other = { ...key, tenant: 'other' };
  await expect(handIn(context, other, { accessToken: 'an-access-token' })).rejects.toThrow(/refresh token/);
  const { grant } = await handIn(context, key, { accessToken: 'an-access-token', expiresIn: 60 });
  expect(grant?.state).toBe('active');
  expect(bench.simulator.isAlive((await bench.connect(vault, { tenant: 'third' })).minted.refreshToken)).toBe(true);
});

it('normalizes the place in the metadata, and names the other holders of a token', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault);
  const { refreshToken } = minted;
  const twins = [
    { ...key, tenant: 'twin' },
    { ...key, account: 'second' },
  ];
  for (const twin of twins) await vault.storeTokens(twin, { refreshToken });
  const { sharedWith } = await vault.storeTokens(key, { refreshToken });
  expect(sharedWith.map(({ tenant, account }) => `${tenant} ${account}`).toSorted()).toEqual([
    'acme second',
    'twin default',
  ]);
  const metadata = { api_domain: 'https://elsewhere.example' };
  await expect(vault.storeTokens(key, { refreshToken, metadata })).rejects.toThrow(/api_domain is not a host/);
});
