/** Xero, QuickBooks and Salesforce tell the organisation of a consent, each in its own place; another one is kept out. */
import { describe, expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { isGrantryError } from '../../base/errors.ts';
import type { AuthorizeInput, Vault } from '../types.ts';

const redirectUri = 'https://app.example/callback';

interface Case {
  readonly provider: string;
  readonly scopes: readonly string[];
  /** Parameters of the callback beside the code. */
  readonly callback: Readonly<Record<string, string>>;
  /** Members of the token answer. */
  readonly answer: Readonly<Record<string, string>>;
  /** Answers of the API, by the path of the URL. */
  readonly api: Readonly<Record<string, unknown>>;
  readonly id: string;
  readonly name: string;
  /** The member that decides about the calls; null if the host does. */
  readonly member: string | null;
  /** A call that names another organisation, and the URL that it reaches; null if it is refused. */
  readonly other: { readonly call: string; readonly headers?: Record<string, string>; readonly reaches: string | null };
}

const ownXero = '9d4b3c1e-0000-4000-8000-000000000001';
const salesforceHost = 'https://acme.my.salesforce.com';

const cases: readonly Case[] = [
  {
    provider: 'xero',
    scopes: ['offline_access', 'accounting.contacts.read'],
    callback: {},
    answer: {},
    api: {
      '/connections': [{ id: 'connection', tenantId: ownXero, tenantName: 'Acme Ltd', tenantType: 'ORGANISATION' }],
    },
    id: ownXero,
    name: 'Acme Ltd',
    member: 'xero_tenant_id',
    other: { call: '/api.xro/2.0/Invoices', headers: { 'Xero-Tenant-Id': 'another' }, reaches: null },
  },
  {
    provider: 'quickbooks',
    scopes: ['com.intuit.quickbooks.accounting'],
    callback: { realmId: '4620816365' },
    answer: {},
    api: { '/v3/company/4620816365/companyinfo/4620816365': { CompanyInfo: { CompanyName: 'Acme Inc', Id: '1' } } },
    id: '4620816365',
    name: 'Acme Inc',
    member: 'realm_id',
    other: {
      call: '/v3/company/77/query',
      reaches: 'https://quickbooks.api.intuit.com/v3/company/77/query',
    },
  },
  {
    provider: 'salesforce',
    scopes: ['api', 'refresh_token'],
    callback: {},
    answer: { instance_url: salesforceHost },
    api: {
      '/services/data/v62.0/query': { records: [{ Id: '00D000000000001EAA', Name: 'Acme Corp' }] },
      '/services/oauth2/userinfo': { user_id: '005000000000001', name: 'Ann' },
    },
    id: '00D000000000001EAA',
    name: 'Acme Corp',
    member: null,
    other: {
      call: 'https://other.my.salesforce.com/services/data/v62.0/sobjects',
      reaches: 'https://other.my.salesforce.com/services/data/v62.0/sobjects',
    },
  },
];

/** A vault whose world answers as the provider, with the URLs of the calls to its API. */
async function stage({ provider, answer, api }: Case) {
  const bench = await makeBench();
  const { vault, world } = await bench.open({ providers: [], backgroundRefresh: false });
  await vault.apps.put(provider, { provider, clientId: 'client', clientSecret: 'secret' });
  const calls: { url: string; headers: Headers }[] = [];
  let tokens = 0;
  world.fetch = async (url, { method, headers }) => {
    const { pathname } = new URL(url);
    if (pathname.includes('.well-known')) return new Response('{}', { status: 404 });
    if (method === 'POST' && pathname.includes('revoke')) return new Response('{}');
    if (method === 'POST') {
      tokens += 1;
      const given = { access_token: `access-${tokens}`, refresh_token: `refresh-${tokens}`, token_type: 'Bearer' };
      return Response.json({ ...given, expires_in: 3_600, ...answer });
    }
    calls.push({ url, headers: new Headers(headers) });
    const told = api[pathname];
    return told === undefined ? Response.json({ unknown: pathname }) : Response.json(told);
  };
  return { bench, vault, calls };
}

const keyOf = ({ provider }: Case) => ({ tenant: 'acme', provider });

async function connect(vault: Vault, of: Case, more: Partial<AuthorizeInput> = {}) {
  const { state } = await vault.authorize({ ...keyOf(of), redirectUri, scopes: of.scopes, ...more });
  const query = new URLSearchParams({ code: `code-${state}`, state, ...of.callback });
  return vault.completeAuthorization(`${redirectUri}?${query.toString()}`);
}

describe.each(cases.map((each) => [each.provider, each] as const))('at %s', (_, of) => {
  it('the organisation of a consent is kept, and shown in lists and by a health check', async () => {
    const { bench: made, vault } = await stage(of);
    await using scope = new AsyncDisposableStack();
    scope.use(made);
    const grant = await connect(vault, of);
    const known = { org_id: of.id, org_name: of.name, ...(of.member === null ? {} : { [of.member]: of.id }) };
    expect(grant.metadata).toMatchObject(known);
    expect((await vault.grants.list()).items).toMatchObject([{ metadata: known }]);
    expect(await vault.health(keyOf(of))).toMatchObject({ status: 'healthy', orgName: of.name });
  });

  it('a consent for the expected organisation is stored, and one for another is not', async () => {
    const { bench: made, vault } = await stage(of);
    await using scope = new AsyncDisposableStack();
    scope.use(made);
    const error = await connect(vault, of, { expectOrganization: 'another' }).catch((thrown: unknown) => thrown);
    expect(isGrantryError(error, 'authorization_failed') && error.reason).toBe('wrong_organization');
    expect(await vault.grants.get(keyOf(of))).toBe(null);
    const grant = await connect(vault, of, { expectOrganization: of.id });
    expect(grant).toMatchObject({ state: 'active', metadata: { org_id: of.id } });
  });

  it('a call that names another organisation reaches it or is refused', async () => {
    const { bench: made, vault, calls } = await stage(of);
    await using scope = new AsyncDisposableStack();
    scope.use(made);
    await connect(vault, of);
    const before = calls.length;
    const call = vault.fetch(keyOf(of), of.other.call, { headers: of.other.headers ?? {} });
    if (of.other.reaches === null) {
      await expect(call).rejects.toMatchObject({ code: 'invalid_request' });
      expect(calls).toHaveLength(before);
    } else {
      await call;
      expect(calls.slice(before).map(({ url }) => url)).toEqual([of.other.reaches]);
    }
  });
});
