/** The error for a grant that is not there names what the caller may have meant. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { makeUpstream } from '../../../test/support/upstream.ts';
import { problemSchema } from '../../schemas/problem.ts';

it('names the nearest provider for a misspelt one, in every call', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  const wrong = { tenant: 'acme', provider: 'zohocrm' };
  const error = {
    code: 'not_found',
    reason: 'unknown_provider',
    message: 'There is no provider zohocrm. Did you mean zoho_crm?',
  };
  await expect(vault.getAccessToken(wrong)).rejects.toMatchObject(error);
  await expect(vault.rejectAccessToken(wrong, 1)).rejects.toMatchObject(error);
  await expect(vault.fetch(wrong, '/x')).rejects.toMatchObject(error);
  await expect(vault.health(wrong)).rejects.toMatchObject(error);
  await expect(vault.disconnect(wrong)).rejects.toMatchObject(error);
  await expect(vault.apps.put('a', { provider: 'zohocrm', clientId: 'i' })).rejects.toMatchObject(error);
});

it('names the grants of the same tenant, and of no other', async () => {
  await using bench = await makeBench({ profiles: ['zoho', 'none'] });
  const { vault } = await bench.open();
  await bench.connect(vault, { provider: 'zoho' });
  await bench.connect(vault, { provider: 'none', tenant: 'globex' });
  await expect(vault.getAccessToken({ tenant: 'acme', provider: 'zoho_crm' })).rejects.toMatchObject({
    code: 'grant_not_found',
    message: 'acme has no grant at zoho_crm. It has one at zoho.',
  });
  await expect(vault.getAccessToken({ tenant: 'initech', provider: 'zoho_crm' })).rejects.toMatchObject({
    message: 'initech has no grant at zoho_crm.',
  });
});

it('tells the default account from the one that was meant', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'zoho' });
  await expect(vault.getAccessToken({ ...key, account: 'second' })).rejects.toMatchObject({
    message: 'acme has no grant at zoho (account second). It has one at zoho (account default).',
    action: 'Use one of its grants. Connect it: grantry connect acme zoho --account second',
  });
});

it('tells a key that is limited to providers nothing of the others', async () => {
  await using upstream = await makeUpstream({ api: (_, response) => response.end() });
  const { vault, url } = upstream;
  const { key: limited } = await vault.keys.create('limited', {
    role: 'reader',
    tenants: ['acme'],
    providers: ['zoho_crm'],
  });
  const { key: open } = await vault.keys.create('open', { role: 'reader', tenants: ['acme'] });
  const detail = async (key: typeof open, path: string, init: RequestInit = {}): Promise<unknown> => {
    const headers = { authorization: `Bearer ${key.reveal()}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}${path}`, { ...init, headers });
    return problemSchema.parse(await answer.json()).detail;
  };
  const token = '/v1/tenants/acme/grants/zoho_crm/token';
  const report = { method: 'POST', body: '{"rejected_generation":1}' };
  const routes = [
    [token],
    [`${token}?account=a`],
    ['/v1/proxy/acme/zoho_crm/x'],
    [token, report],
    ['/v1/tenants/acme/grants/zoho_crm'],
  ] as const;
  for (const [path, init] of routes) {
    expect(await detail(limited, path, init), path).not.toContain('plain');
    expect(await detail(open, path, init), path).toContain('It has one at plain');
  }
});
