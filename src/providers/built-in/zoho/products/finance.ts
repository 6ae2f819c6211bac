import type { AnswerRule } from '../../../definition.ts';
import { site, source, type ZohoFamily, type ZohoProduct } from '../product.ts';

/** The finance products' envelope `{code, message}`: 0 means success, any other code an error, at any status. */
const invalidToken: readonly AnswerRule[] = [
  { status: 401, pointer: '/code', equals: 57 },
  { status: 401, pointer: '/code', equals: 14 },
  { status: 200, pointer: '/code', equals: 57 },
  { status: 200, pointer: '/code', equals: 14 },
  { status: 401, pointer: '/code', absent: true },
];
/** The finance products answer a bad token and a missing scope alike; see `isScopeMissing`. */
const scopeMissing: readonly AnswerRule[] = [
  { status: 401, pointer: '/code', equals: 57 },
  { status: 200, pointer: '/code', equals: 57 },
];

const answers = { invalidToken, scopeMissing };
const perMinute = ['100 requests a minute for each organisation; 5 at once in free plans, 10 in others.'];

const probed = source(
  'https://github.com/w6w-io/w6w-apps',
  'answers that were seen: code 57, code 14; the same code for a missing scope',
  'invalidToken scopeMissing',
  '2026-08',
);

/** Zoho's finance products. */
export const financeFamily: ZohoFamily = {
  books: {
    name: 'Zoho Books',
    documentation: `${site}/books/api/v3/`,
    scopePrefix: 'ZohoBooks',
    base: 'api',
    paths: ['/books'],
    dataCenters: 'us eu in au jp ca cn sa',
    organization: inQuery('books'),
    ...answers,
    health: health('/books/v3/organizations', 'ZohoBooks.settings.READ'),
    limits: perMinute,
    sources: [
      source(`${site}/books/api/v3/oauth/`, 'data centres and scopes', 'hosts scopes'),
      source(
        `${site}/books/api/v3/`,
        'the organisation in each call, and the limits',
        'organization health limits',
        '2026',
      ),
      probed,
    ],
    reported: 'invalidToken scopeMissing',
  },
  invoice: {
    name: 'Zoho Invoice',
    documentation: `${site}/invoice/api/v3/`,
    scopePrefix: 'ZohoInvoice',
    base: 'api',
    paths: ['/invoice'],
    organization: inHeader('invoice'),
    ...answers,
    health: health('/invoice/v3/organizations', 'ZohoInvoice.settings.READ'),
    limits: perMinute,
    sources: [
      source(`${site}/invoice/api/index.html`, 'the organisation in a header', 'hosts organization health'),
      source(`${site}/invoice/api/v3/oauth/`, 'data centres and scopes', 'scopes'),
    ],
    guess: 'invalidToken scopeMissing',
  },
  inventory: {
    name: 'Zoho Inventory',
    documentation: `${site}/inventory/api/v1/`,
    scopePrefix: 'ZohoInventory',
    base: 'api',
    paths: ['/inventory'],
    dataCenters: 'us eu in au jp ca cn sa',
    organization: inQuery('inventory'),
    ...answers,
    health: health('/inventory/v1/organizations', 'ZohoInventory.settings.READ'),
    limits: perMinute,
    sources: [
      source(`${site}/inventory/api/v1/oauth/`, 'data centres and scopes', 'hosts scopes'),
      source(`${site}/inventory/api/v1/`, 'organisation, calls, limits', 'organization health limits', '2026'),
    ],
    guess: 'invalidToken scopeMissing',
  },
  expense: {
    name: 'Zoho Expense',
    documentation: `${site}/expense/api/v1/`,
    scopePrefix: 'ZohoExpense',
    base: 'api',
    paths: ['/expense'],
    organization: inQuery('expense'),
    ...answers,
    health: health('/expense/v1/organizations', 'ZohoExpense.orgsettings.READ'),
    sources: [
      source(
        `${site}/expense/api/v1/`,
        'root on the gateway, organization_id in each call, the scope of the list of organisations',
        'hosts scopes organization health',
      ),
    ],
    guess: 'invalidToken scopeMissing',
  },
  billing: {
    name: 'Zoho Billing',
    documentation: `${site}/billing/api/v1/`,
    // The product was called Subscriptions, and its scopes still are.
    scopePrefix: 'ZohoSubscriptions',
    base: 'api',
    paths: ['/billing', '/subscriptions'],
    dataCenters: 'us eu in au jp ca cn sa',
    organization: inHeader('subscriptions'),
    ...answers,
    health: health('/billing/v1/organizations', 'ZohoSubscriptions.settings.READ'),
    sources: [
      source(`${site}/subscriptions/api/v1/`, 'root on the gateway of eight data centres', 'hosts'),
      source(`${site}/billing/api/v1/oauth/`, 'the scopes, under the old name', 'scopes'),
      source(
        'https://github.com/search?q=X-com-zoho-subscriptions-organizationid',
        'public code: the header, and the list of organisations without it',
        'organization health',
      ),
    ],
    reported: 'organization health',
    guess: 'invalidToken scopeMissing',
  },
  payroll: {
    name: 'Zoho Payroll',
    documentation: `${site}/payroll/`,
    scopePrefix: 'ZohoPayroll',
    base: 'payroll',
    hosts: ['api'],
    paths: ['/payroll', '/api/v1/payruns', '/api/v1/employees'],
    organization: inQuery('payroll'),
    ...answers,
    sources: [
      source(
        'https://github.com/search?q=payroll.zoho.in%2Fapi%2Fv1',
        'public code: host, scopes, and organization_id in the query',
        'hosts scopes organization',
      ),
    ],
    reported: 'hosts scopes organization',
    guess: 'invalidToken scopeMissing health',
  },
  payments: {
    name: 'Zoho Payments',
    documentation: `${site}/payments/`,
    scopePrefix: 'ZohoPay',
    base: 'payments',
    paths: ['/api/v1/paymentsessions', '/api/v1/payments', '/api/v1/refunds', '/api/v1/paymentlinks'],
    dataCenters: 'us in',
    organization: { in: 'query', name: 'account_id' },
    ...answers,
    sources: [
      source('https://github.com/search?q=payments.zoho.in%2Fapi%2Fv1', 'editions for India and the US', 'hosts'),
    ],
    reported: 'hosts',
    guess: 'scopes organization invalidToken scopeMissing health',
  },
  commerce: {
    name: 'Zoho Commerce',
    documentation: `${site}/commerce/api/`,
    scopePrefix: 'ZohoCommerce',
    base: 'commerce',
    paths: ['/store', '/storefront', '/zs-site'],
    dataCenters: 'us eu in au jp',
    organization: { in: 'header', name: 'X-com-zoho-store-organizationid' },
    ...answers,
    health: {
      path: '/zs-site/api/v1/index/sites',
      scope: 'ZohoCommerce.sitesIndex.READ',
      withoutOrganization: true,
    },
    sources: [
      source(`${site}/commerce/api/multiple-data-centers.html`, 'five data centres', 'hosts'),
      source('https://pipedream.com/apps/zoho-commerce.md', 'scopes that a connector asks for', 'scopes'),
      source(
        'https://github.com/search?q=X-com-zoho-store-organizationid',
        'public code: the header, and the list of stores without it',
        'organization health',
      ),
    ],
    reported: 'scopes organization health',
    guess: 'invalidToken scopeMissing',
  },
};

function health(path: string, scope: string): NonNullable<ZohoProduct['health']> {
  const organizations = {
    list: '/organizations',
    ids: ['/organization_id'],
    name: '/name',
    default: '/is_default_org',
  };
  return { path, name: '/organizations/0/name', scope, organizations, withoutOrganization: true };
}

type OrganizationPlace = NonNullable<ZohoProduct['organization']>;

/** The organisation in the query. They read a header, too: Invoice's documentation knows only this place. A guess for others. */
function inQuery(product: string): OrganizationPlace {
  return {
    in: 'query',
    name: 'organization_id',
    also: [{ in: 'header', name: `X-com-zoho-${product}-organizationid` }],
  };
}

function inHeader(product: string): OrganizationPlace {
  return {
    in: 'header',
    name: `X-com-zoho-${product}-organizationid`,
    also: [{ in: 'query', name: 'organization_id' }],
  };
}
