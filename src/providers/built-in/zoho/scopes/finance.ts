import type { ScopeEntry } from '../../../definition.ts';
import { all, rows, type ScopeFamily } from './rows.ts';

/** Families that several finance products share, with the things in them. */
const things: Readonly<Record<string, string>> = {
  settings: 'settings, items, taxes, currencies and users',
  contacts: 'customers and vendors',
  customers: 'customers',
  items: 'items',
  estimates: 'estimates',
  quotes: 'quotes',
  salesorders: 'sales orders',
  invoices: 'invoices',
  recurringinvoices: 'recurring invoices',
  retainerinvoices: 'retainer invoices',
  customerpayments: 'payments of customers',
  payments: 'payments',
  creditnotes: 'credit notes',
  projects: 'projects and time entries',
  expenses: 'expenses',
  recurringexpenses: 'recurring expenses',
  purchaseorders: 'purchase orders',
  purchasereceives: 'receipts of purchases',
  bills: 'bills',
  debitnotes: 'vendor credits',
  vendorpayments: 'payments to vendors',
  banking: 'bank accounts, transactions and rules',
  accountants: 'the chart of accounts and journals',
  compositeitems: 'composite items',
  inventoryadjustments: 'adjustments of stock',
  transferorders: 'transfer orders',
  packages: 'packages',
  shipmentorders: 'shipments',
  salesreturns: 'returns of sales',
  products: 'products',
  plans: 'plans',
  addons: 'add-ons',
  coupons: 'coupons',
  subscriptions: 'subscriptions',
  hostedpages: 'hosted pages',
  events: 'events',
  refunds: 'refunds',
  orgsettings: "the organisation's settings",
  users: 'users',
  advances: 'advances',
  expensereports: 'expense reports',
  approval: 'approvals',
  trips: 'trips',
  employee: 'employees',
  salary: 'salaries',
  worklocation: 'work locations',
  payrollrun: 'payroll runs',
  sitesIndex: 'the list of stores',
  webhooks: 'webhooks',
  headercode: 'code in the head of pages',
};

/** Families that reach the money or the rights of all. */
const delicate = new Set(['banking', 'accountants', 'salary', 'payrollrun']);

function finance(prefix: string, product: string, families: string, fullAccess?: string): readonly ScopeEntry[] {
  const made: ScopeFamily[] = families.split(' ').map((name) => ({
    name,
    things: things[name] ?? name,
    operations: all,
    ...(delicate.has(name) ? { broad: all } : name === 'settings' || name === 'users' ? { broad: 'ALL' } : {}),
  }));
  const full =
    fullAccess === undefined ? [] : [{ name: fullAccess, words: `Do everything in ${product}`, broad: true }];
  return [...full, ...rows(prefix, made)];
}

const documents = 'estimates salesorders invoices customerpayments creditnotes';

/** The scopes of the finance products. */
export const financeScopes: Readonly<Record<string, readonly ScopeEntry[]>> = {
  books: finance(
    'ZohoBooks',
    'Zoho Books',
    `settings contacts ${documents} projects expenses purchaseorders bills debitnotes vendorpayments banking accountants`,
    'ZohoBooks.fullaccess.all',
  ),
  invoice: finance(
    'ZohoInvoice',
    'Zoho Invoice',
    'settings contacts items estimates invoices recurringinvoices retainerinvoices customerpayments creditnotes expenses recurringexpenses projects',
    'ZohoInvoice.fullaccess.all',
  ),
  inventory: finance(
    'ZohoInventory',
    'Zoho Inventory',
    'settings contacts items compositeitems inventoryadjustments transferorders salesorders packages shipmentorders invoices ' +
      'customerpayments salesreturns creditnotes purchaseorders purchasereceives bills',
    'ZohoInventory.FullAccess.all',
  ),
  expense: finance(
    'ZohoExpense',
    'Zoho Expense',
    'orgsettings users expensereports expenses approval trips advances projects customers settings',
    'ZohoExpense.fullaccess.ALL',
  ),
  billing: finance(
    'ZohoSubscriptions',
    'Zoho Billing',
    'settings customers products plans addons coupons subscriptions quotes invoices creditnotes payments hostedpages events refunds',
    'ZohoSubscriptions.fullaccess.all',
  ),
  payroll: finance(
    'ZohoPayroll',
    'Zoho Payroll',
    'employee salary settings worklocation payrollrun',
    'ZohoPayroll.fullaccess.all',
  ),
  payments: finance('ZohoPay', 'Zoho Payments', 'payments refunds customers'),
  commerce: finance(
    'ZohoCommerce',
    'Zoho Commerce',
    'items settings salesorders shipmentorders salesreturns coupons sitesIndex webhooks headercode',
  ),
};
