import { builtInProviderIds } from '../base/provider-ids.ts';
import type { ProviderDefinition } from './definition.ts';
import { type ScopeFinding, type ScopeKnowledge } from './scope-lint.ts';
import { scopesOf } from './scope-table.ts';

const known = new WeakMap<ProviderDefinition, ScopeKnowledge>();

/** Loads what is known of a provider's scopes: its table, and the prefixes of the other built-in providers. */
export async function scopeKnowledge(definition: ProviderDefinition): Promise<ScopeKnowledge> {
  const kept = known.get(definition);
  if (kept !== undefined) return kept;
  const table = await scopesOf(definition);
  const others = table.length === 0 ? new Map<string, { id: string; name: string }>() : await prefixesBut(definition);
  const made = { definition, table, others };
  known.set(definition, made);
  return made;
}

async function prefixesBut(definition: ProviderDefinition) {
  const { builtInProvider } = await import('./catalogue.ts');
  const found = new Map<string, { id: string; name: string }>();
  for (const id of builtInProviderIds) {
    const other = builtInProvider(id);
    const prefix = other?.scopePrefix?.toLowerCase();
    if (prefix === undefined || id === definition.id || found.has(prefix)) continue;
    found.set(prefix, { id, name: other?.name ?? id });
  }
  return found;
}

/**
 * The hint about a text of scopes that are separated by spaces, where the provider separates them in another way. Grantry
 * sends what the provider wants.
 */
export function separatorFinding(
  { scopeSeparator }: ProviderDefinition,
  texts: readonly string[],
): ScopeFinding | null {
  const wanted = scopeSeparator.trim();
  const spaced = texts.find(
    (text) => wanted !== '' && /\S\s+\S/.test(text.replaceAll(wanted, '')) && !text.includes(wanted),
  );
  if (spaced === undefined) return null;
  const message = `The provider separates scopes by "${wanted}", not by spaces. Grantry sends them so.`;
  return { scope: spaced, kind: 'separator', level: 'hint', message };
}
