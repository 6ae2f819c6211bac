import type { ScopeEntry } from '../../../definition.ts';
import { all, rows } from './rows.ts';

const fullAccess = (name: string, product: string): ScopeEntry => ({
  name,
  words: `Do everything in ${product}`,
  broad: true,
});

/** The scopes of Zoho Books. */
export const books: readonly ScopeEntry[] = [
  fullAccess('ZohoBooks.fullaccess.all', 'Zoho Books'),
  ...rows('ZohoBooks', [
    { name: 'settings', things: 'settings, items, taxes, currencies and users', operations: all, broad: 'ALL' },
    { name: 'contacts', things: 'customers and vendors', operations: all },
    { name: 'estimates', things: 'estimates', operations: all },
    { name: 'salesorders', things: 'sales orders', operations: all },
    { name: 'invoices', things: 'invoices', operations: all },
    { name: 'customerpayments', things: 'payments of customers', operations: all },
    { name: 'creditnotes', things: 'credit notes', operations: all },
    { name: 'projects', things: 'projects and time entries', operations: all },
    { name: 'expenses', things: 'expenses', operations: all },
    { name: 'purchaseorders', things: 'purchase orders', operations: all },
    { name: 'bills', things: 'bills', operations: all },
    { name: 'debitnotes', things: 'vendor credits', operations: all },
    { name: 'vendorpayments', things: 'payments to vendors', operations: all },
    { name: 'banking', things: 'bank accounts, transactions and rules', operations: all, broad: all },
    { name: 'accountants', things: 'the chart of accounts and journals', operations: all, broad: all },
  ]),
];
