/** A new consent replaces an old one: a provider that limits the refresh tokens per user gets its slot back. */
import { describe, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { Secret } from '../../base/secret.ts';
import { builtInProvider } from '../../providers/catalogue.ts';
import { demoClient } from '../../simulator/index.ts';
import type { Vault } from '../types.ts';

const provider = 'zoho_crm';
const scopes = ['ZohoCRM.org.READ'];
const user = 'user@us.example';

async function connect(bench: Bench, vault: Vault, tenant: string): Promise<void> {
  // Zoho allows few requests per refresh token and minute.
  await bench.jump(130_000);
  const code = bench.simulator.mintCode({ clientId: demoClient.clientId, user, scopes });
  await vault.redeemCode({ tenant, provider }, { code: new Secret(code), dc: 'us' });
}

const alive = (bench: Bench) => bench.simulator.families().filter((family) => family.alive).length;

describe.each(databaseKinds)('a replaced refresh token, on %s', (kind) => {
  it('is revoked, so that 21 reconnects of one tenant end no other grant of the same user', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    await connect(bench, vault, 'other');
    for (let times = 0; times < 22; times += 1) await connect(bench, vault, 'often');
    expect(alive(bench)).toBe(2);
    for (const tenant of ['other', 'often']) {
      expect(await vault.getAccessToken({ tenant, provider }, { minValidity: 3_590 })).toMatchObject({ dc: 'us' });
    }
    await vault.disconnect({ tenant: 'often', provider });
    expect(alive(bench)).toBe(1);
  });

  it('waits in the queue while the provider does not revoke it', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    await connect(bench, vault, 'acme');
    bench.simulator.faults.add({ endpoint: 'revoke', effect: { kind: 'status', status: 503, when: 'before' } });
    await connect(bench, vault, 'acme');
    expect(alive(bench)).toBe(2);
    await vault.disconnect({ tenant: 'acme', provider });
    expect(alive(bench)).toBe(0);
  });

  it('lives on when another grant holds it, and where it may be another consent’s too', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho', 'none'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider, profile: 'zoho' });
    await vault.storeTokens(
      { tenant: 'twin', provider },
      { refreshToken: minted.refreshToken, metadata: { dc: 'us' } },
    );
    await connect(bench, vault, key.tenant);
    expect(alive(bench)).toBe(2);
    expect(await vault.getAccessToken({ tenant: 'twin', provider })).toMatchObject({ dc: 'us' });
    // A token stored by hand takes no token's life.
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, metadata: { dc: 'us' } });
    expect(alive(bench)).toBe(2);
  });

  it('is not revoked at providers that state no limit of tokens per user', async () => {
    // There, nothing says that each consent has a token of its own: at QuickBooks, revoking any disconnects the company.
    for (const id of ['quickbooks', 'xero', 'hubspot', 'github', 'microsoft', 'google']) {
      const { livePerUserAndClient, revocationEnds } = builtInProvider(id)?.refreshToken ?? {};
      expect([id, livePerUserAndClient === null || revocationEnds === 'account']).toEqual([id, true]);
    }
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, 'none');
    for (const _ of [1, 2]) {
      const redirectUri = 'https://app.example/callback';
      const { url } = await vault.authorize({ tenant: 'acme', provider: 'none', redirectUri, scopes: ['read'] });
      const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
      await vault.completeAuthorization(response.headers.get('location') ?? '');
    }
    expect(alive(bench)).toBe(2);
  });

  it('is counted: from 15 of 20 tokens on, an operator is warned', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const warned: unknown[] = [];
    const quiet = () => {};
    const logger = {
      debug: quiet,
      info: quiet,
      error: quiet,
      warn: (message: string, fields?: Record<string, unknown>) => {
        if (message.includes('nears')) warned.push(fields?.['tokens']);
      },
    };
    const { vault } = await bench.open({ logger });
    await bench.addApp(vault, provider);
    for (let tenant = 1; tenant <= 16; tenant += 1) await connect(bench, vault, `tenant-${tenant}`);
    expect(warned).toEqual([15, 16]);
  });
});
