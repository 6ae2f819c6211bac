/** A refresh token is revoked in the data centre of its grant: metadata, API host and app may each name it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { Secret } from '../../base/secret.ts';
import { systemWorld } from '../../base/system-world.ts';
import { openVault } from '../../index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { revokeDue } from './revocations.ts';

const key = { tenant: 'acme', provider: 'zoho_crm' };
const euApi = { api_domain: 'https://www.zohoapis.eu' };

describe('the data centre of a revocation', () => {
  let bench: Bench;
  let vault: Vault;
  /** The hosts of the revocations, and what they answer. */
  let revoked: string[] = [];
  let isUp = true;
  let onRefresh: () => Promise<void> = async () => {};
  const codes = { count: 0 };

  beforeEach(async () => {
    bench = await makeBench();
    revoked = [];
    isUp = true;
    onRefresh = async () => {};
    const fetch = async (url: string): Promise<Response> => {
      const { host, pathname } = new URL(url);
      if (pathname.includes('revoke')) {
        revoked.push(host);
        return isUp ? Response.json({ status: 'success' }) : new Response('busy', { status: 503 });
      }
      await onRefresh();
      codes.count += 1;
      const tokens = { access_token: `access-${codes.count}`, refresh_token: `refresh-${codes.count}` };
      return Response.json({ ...tokens, ...euApi, token_type: 'Bearer', expires_in: 3_600 });
    };
    vault = await openVault({
      database: bench.database,
      home: bench.home,
      rootKey: `file:${bench.home}/root.key`,
      world: { ...systemWorld(), fetch },
    });
    const app = { provider: 'zoho_crm', clientId: 'id', clientSecret: 'secret', dc: 'in' };
    await vault.apps.put('app', app);
  });

  afterEach(async () => {
    await vault.close();
    await bench[Symbol.asyncDispose]();
  });

  it.each([
    ['metadata.dc', { dc: 'au', ...euApi }, 'accounts.zoho.com.au'],
    ['the API host', euApi, 'accounts.zoho.eu'],
    ['the API host of a sandbox', { api_domain: 'https://sandbox.zohoapis.eu' }, 'accounts.zoho.eu'],
    ['the app', {}, 'accounts.zoho.in'],
  ])('is that of %s after a disconnect, and again from the queue', async (_what, metadata, host) => {
    await vault.storeTokens(key, { app: 'app', refreshToken: 'a-refresh-token', metadata });
    isUp = false;
    expect(await vault.disconnect(key)).toEqual({ revocation: 'queued' });
    isUp = true;
    await bench.judge.db.updateTable('grantry_revocations').set({ next_at: 0 }).execute();
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(revoked).toEqual([host, host]);
  });

  it('is that of the replaced grant when a tenant connects again elsewhere', async () => {
    await vault.storeTokens(key, { app: 'app', refreshToken: 'a-refresh-token', metadata: euApi });
    await vault.redeemCode(key, { code: new Secret('1000.a-code'), dc: 'us' });
    expect(revoked).toEqual(['accounts.zoho.eu']);
  });

  it('is that under which the token was spent, for an answer after the disconnect', async () => {
    await vault.storeTokens(key, { app: 'app', refreshToken: 'a-refresh-token', metadata: euApi });
    onRefresh = async () => {
      await vault.disconnect(key);
    };
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'grant_not_found' });
    await bench.judge.db.updateTable('grantry_revocations').set({ next_at: 0 }).execute();
    await revokeDue(internalsOf(vault).open());
    expect(revoked).toEqual(['accounts.zoho.eu', 'accounts.zoho.eu']);
  });
});
