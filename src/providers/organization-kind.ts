import type { ProviderDefinition } from './definition.ts';

/**
 * True if two providers name the same organisation by the same id: tokens of both come from one token endpoint, and the ids
 * stand at the same place of the same kind of answer. An id of another product is of another kind, though it looks alike.
 */
export function isSameOrganizationKind(one: ProviderDefinition, other: ProviderDefinition): boolean {
  if (one.id === other.id) return true;
  const [rule, otherRule] = [one, other].map(({ api }) => api.health?.organizations);
  if (rule === undefined || otherRule === undefined || rule.list !== otherRule.list) return false;
  if (rule.ids.join('\n') !== otherRule.ids.join('\n')) return false;
  const endpoints = new Set(tokenEndpoints(other));
  return tokenEndpoints(one).some((url) => endpoints.has(url));
}

/** The token endpoints of a provider in all its data centres; the issuer, if only discovery tells them. */
function tokenEndpoints({ endpoints, issuer, dataCenters = {} }: ProviderDefinition): string[] {
  const token = endpoints?.token ?? issuer ?? '';
  if (!token.includes('{dc.')) return token === '' ? [] : [token];
  return Object.values(dataCenters).map((hosts) =>
    token.replaceAll(/\{dc\.(\w+)\}/g, (_, name: string) => hosts[name] ?? ''),
  );
}
