import { describe, expect, it } from 'vitest';
import { builtInProvider, builtInProviderIds } from '../../providers/catalogue.ts';
import { createSimulator, demoClient, type Simulator } from '../index.ts';
import { products } from './operations.ts';

const user = { id: 'eva@example.test', dc: 'eu', orgId: '4711', orgName: 'Eva & Co' };

function simulatorFor(): Simulator {
  return createSimulator({ now: () => 0, users: [user, { id: 'us@example.test', dc: 'us', orgId: '4712' }] });
}

function tokenWith(simulator: Simulator, scopes: string[], of = user.id): string {
  return simulator.mintTokens({ clientId: demoClient.clientId, user: of, scopes }).accessToken;
}

async function call(
  simulator: Simulator,
  url: string,
  token: string | null,
  headers: Record<string, string> = {},
  body?: string,
) {
  const authorization: Record<string, string> = token === null ? {} : { authorization: `Zoho-oauthtoken ${token}` };
  const init = { headers: { ...authorization, ...headers }, ...(body === undefined ? {} : { method: 'POST', body }) };
  const response = await simulator.fetch(new Request(url, init));
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  const parsed: unknown = type.includes('json') ? JSON.parse(text) : text;
  return { status: response.status, body: parsed };
}

/** Products of whose API no call is known that proves a grant. */
const withoutHealthCall =
  'zoho_payroll zoho_payments zoho_dataprep zoho_zeptomail zoho_learn zoho_shifts zoho_directory'.split(' ');
const zohoIds = builtInProviderIds.filter((id) => id.startsWith('zoho_') && !withoutHealthCall.includes(id));

describe('the product APIs', () => {
  it.each(zohoIds)('%s: the health call of its definition works with its scope, and not without', async (id) => {
    const definition = builtInProvider(id);
    const health = definition?.api.health;
    const eu = definition?.dataCenters?.['eu'];
    if (definition === null || health === undefined || eu === undefined) throw new Error(`${id} has no health call`);
    const base = (definition.api.base ?? '').replace(/\{dc\.(\w+)\}/, (_, name: string) => eu[name] ?? '');
    const simulator = simulatorFor();
    const url = base + health.path;
    const good = await call(simulator, url, tokenWith(simulator, [health.scope ?? '']));
    expect(good.status).toBe(200);
    if (health.name !== undefined) expect(JSON.stringify(good.body)).toMatch(/Eva & Co|eva@example\.test/);
    expect(
      (await call(simulator, url, tokenWith(simulator, ['AaaServer.profile.READ']))).status,
    ).toBeGreaterThanOrEqual(400);
    expect((await call(simulator, url, null)).status).toBeGreaterThanOrEqual(400);
  });

  it.each([
    [
      'https://www.zohoapis.eu/crm/v8/org',
      401,
      { code: 'INVALID_TOKEN', message: 'invalid oauth token', status: 'error' },
    ],
    [
      'https://www.zohoapis.eu/books/v3/contacts',
      401,
      { code: 57, message: 'You are not authorized to perform this operation' },
    ],
    ['https://desk.zoho.eu/api/v1/tickets', 401, { errorCode: 'INVALID_OAUTH' }],
    ['https://mail.zoho.eu/api/accounts', 401, { data: { errorCode: 'INVALID_OAUTHTOKEN' }, status: { code: 401 } }],
    ['https://projects.zoho.eu/api/v3/portals', 401, { error: { status_code: 401, title: 'INVALID_OAUTHTOKEN' } }],
    ['https://www.zohoapis.eu/creator/v2.1/meta/applications', 401, { code: 1030 }],
    ['https://analyticsapi.zoho.eu/restapi/v2/orgs', 401, { data: { errorCode: 8535 } }],
  ])('%s says in its own words that a token of another data centre is no good', async (url, status, body) => {
    const simulator = simulatorFor();
    const foreign = tokenWith(simulator, ['ZohoCRM.org.READ'], 'us@example.test');
    expect(await call(simulator, url, foreign)).toMatchObject({ status, body });
    const expired = tokenWith(simulator, ['ZohoCRM.org.READ']);
    simulator.clock.advance(3_600_000);
    expect(await call(simulator, url, expired)).toMatchObject({ status, body });
  });

  it('requires the organisation where the product does', async () => {
    const simulator = simulatorFor();
    const token = tokenWith(simulator, ['Desk.tickets.ALL', 'ZohoBooks.contacts.READ']);
    expect((await call(simulator, 'https://desk.zoho.eu/api/v1/tickets', token)).body).toMatchObject({
      errorCode: 'OAUTH_ORG_MISMATCH',
    });
    expect((await call(simulator, 'https://desk.zoho.eu/api/v1/tickets', token, { orgId: '1' })).status).toBe(403);
    expect((await call(simulator, 'https://desk.zoho.eu/api/v1/tickets', token, { orgId: user.orgId })).status).toBe(
      200,
    );
    expect((await call(simulator, 'https://www.zohoapis.eu/books/v3/contacts?organization_id=1', token)).status).toBe(
      400,
    );
    expect(
      (await call(simulator, 'https://www.zohoapis.eu/books/v3/contacts?organization_id=4711', token)).body,
    ).toMatchObject({ code: 0 });
  });

  it('keeps the records that are sent to CRM', async () => {
    const simulator = simulatorFor();
    const url = 'https://www.zohoapis.eu/crm/v8/Leads';
    const reader = tokenWith(simulator, ['ZohoCRM.modules.leads.READ']);
    expect(await call(simulator, url, reader, {}, '{"data":[{"Last_Name":"Ng"}]}')).toMatchObject({
      status: 401,
      body: { code: 'OAUTH_SCOPE_MISMATCH' },
    });
    const writer = tokenWith(simulator, ['ZohoCRM.modules.ALL']);
    expect(await call(simulator, url, writer, {}, '{"data":[{"Last_Name":"Ng"}]}')).toMatchObject({
      status: 201,
      body: { data: [{ code: 'SUCCESS' }] },
    });
    expect((await call(simulator, url, reader)).body).toMatchObject({
      data: [{ Last_Name: 'Ng' }],
      info: { count: 1 },
    });
    expect((await call(simulator, url, writer, {}, 'no json')).status).toBe(400);
  });

  it('answers a used-up quota in each product’s form, and every problem of Bookings with an HTML page', async () => {
    const simulator = simulatorFor();
    simulator.zoho.change({ apiCallsPerMinute: 1 });
    const token = tokenWith(simulator, ['ZohoCreator.meta.application.READ', 'ZohoBooks.settings.READ']);
    const creator = 'https://www.zohoapis.eu/creator/v2.1/meta/applications';
    await call(simulator, creator, token);
    expect(await call(simulator, creator, token)).toMatchObject({ status: 200, body: { code: 4000 } });
    const books = 'https://www.zohoapis.eu/books/v3/organizations';
    await call(simulator, books, token);
    expect(await call(simulator, books, token)).toMatchObject({ status: 429, body: { code: 44 } });
    const bookings = await call(simulator, 'https://www.zohoapis.eu/bookings/v1/json/workspaces', null);
    expect(bookings).toMatchObject({ status: 400, body: expect.stringMatching(/^<!doctype html>/) });
  });

  it('identifies each product by its path, as on one port', () => {
    for (const product of products) {
      for (const { path } of product.operations) {
        const example = path.source
          .replace(/^\^|\$$/g, '')
          .replaceAll('\\/', '/')
          .replaceAll('\\.', '.')
          .replaceAll('v\\d+', 'v8')
          .replaceAll('\\d+', '7')
          .replaceAll('([A-Z]\\w*)', 'Leads')
          .replace('(?:[\\w.@-]+/)?', '')
          .replace('(?:/workdrive)?', '')
          .replaceAll('(\\w+)', 'x7')
          .replace(/\((\w+)\)/, '$1');
        expect(example).toMatch(path);
        expect(products.find((each) => each.prefix.test(example))?.name).toBe(product.name);
      }
    }
  });
});
