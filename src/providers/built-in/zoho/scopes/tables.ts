import type { ScopeEntry } from '../../../definition.ts';
import { crm } from './crm.ts';
import { financeScopes } from './finance.ts';
import { accountScopes, otherScopes } from './others.ts';

/** The scope tables by product, which is the second part of a provider id. */
const tables: Readonly<Record<string, readonly ScopeEntry[]>> = { crm, ...financeScopes, ...otherScopes };

/** Returns the scopes of one Zoho provider; of `zoho`, those of every product. */
export function zohoScopes(id: string): readonly ScopeEntry[] {
  if (id === 'zoho') return [...Object.values(tables).flat(), ...accountScopes];
  const own = tables[id.slice('zoho_'.length)];
  return own === undefined ? [] : [...own, ...accountScopes];
}
