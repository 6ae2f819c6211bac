/** A grant whose row another program has altered: how it heals, and how doctor names it. */
import { describe, expect, it } from 'vitest';
import { rowsFinding } from '../../src/cli/doctor/rows.ts';
import { sealsFinding } from '../../src/cli/doctor/seals.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { type Bench, codeOf, databaseKinds, makeBench } from '../support/bench.ts';

const alteredMetadata = '{"api_domain":"https://elsewhere.example"}';

async function alter(bench: Bench, columns: { metadata?: string; refresh_token?: string }): Promise<void> {
  await bench.judge.db.updateTable('oauth_tokens').set(columns).execute();
}

describe.each(databaseKinds)('a grant whose row was altered, on %s', (kind) => {
  it('goes on when the row is put back', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const { metadata } = await bench.judge.db.selectFrom('oauth_tokens').select('metadata').executeTakeFirstOrThrow();
    await alter(bench, { metadata: alteredMetadata });
    expect(await codeOf(vault.rejectAccessToken(key, 1))).toBe('integrity_failed');
    await alter(bench, { metadata });
    expect(await vault.rejectAccessToken(key, 1)).toMatchObject({ generation: 2 });
  });

  it.each([
    ['its place', { metadata: alteredMetadata }],
    ['its token', { refresh_token: 'gry1.R1JZAgAB' }],
  ])('is cured by the same refresh token, if %s was altered', async (_, columns) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    await alter(bench, columns);
    expect(await codeOf(vault.rejectAccessToken(key, 1))).toBe('integrity_failed');
    const { refreshToken } = minted;
    // A caller that forbids a change changes nothing.
    expect(await vault.storeTokens(key, { refreshToken, replace: false })).toMatchObject({ result: 'unchanged' });
    expect(await vault.storeTokens(key, { refreshToken })).toMatchObject({ result: 'replaced' });
    expect((await vault.grants.get(key))?.metadata).not.toHaveProperty('api_domain');
    expect(await vault.rejectAccessToken(key, 2)).toMatchObject({ generation: 3 });
    expect(await vault.storeTokens(key, { refreshToken })).toMatchObject({ result: 'unchanged' });
  });

  it('is named by doctor, and so is a row whose MAC does not fit', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const context = internalsOf(vault).open();
    const found = async () => [await sealsFinding(context), await rowsFinding(context)];
    expect(await found()).toMatchObject([{ status: 'ok' }, { status: 'ok' }]);
    await alter(bench, { metadata: alteredMetadata });
    await bench.judge.db.updateTable('grantry_apps').set({ redirect_uri: 'https://elsewhere.example/' }).execute();
    const [seals, rows] = (await found()).map((finding) => JSON.stringify(finding));
    expect(seals).toContain(`the grant of ${key.tenant} at ${key.provider}`);
    expect(rows).toContain('grantry_apps');
    expect(await found()).not.toContainEqual(expect.objectContaining({ status: 'ok' }));
  });
});
