import type { ScopeEntry } from '../../../definition.ts';
import { crm } from './crm.ts';
import { books } from './finance.ts';

/** The scope tables by product, which is the second part of a provider id. */
const tables: Readonly<Record<string, readonly ScopeEntry[]>> = { crm, books };

/** Returns the scopes of one Zoho provider; of `zoho`, those of every product. */
export function zohoScopes(id: string): readonly ScopeEntry[] {
  if (id === 'zoho') return Object.values(tables).flat();
  return tables[id.slice('zoho_'.length)] ?? [];
}
