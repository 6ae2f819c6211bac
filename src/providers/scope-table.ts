import type { ProviderDefinition, ScopeEntry } from './definition.ts';

/**
 * Returns the scopes that a provider knows, for checks and for people who choose some: the definition's own `scopes`, else
 * those of the built-in provider that it is or extends. Empty if neither has a table.
 *
 * The tables of the built-in providers are loaded here and not with their definitions, because a program that needs a token
 * needs no table.
 */
export async function scopesOf(definition: ProviderDefinition): Promise<readonly ScopeEntry[]> {
  if (definition.scopes !== undefined) return definition.scopes;
  const id = definition.extends ?? definition.id;
  if (!/^zoho(_|$)/.test(id)) return [];
  const { zohoScopes } = await import('./built-in/zoho/scopes/tables.ts');
  return zohoScopes(id);
}
