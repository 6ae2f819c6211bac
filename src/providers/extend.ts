import type { ProviderDefinition } from './definition.ts';

/** Finds the definition that another one extends; null for an id that none has. */
export type BaseOf = (id: string) => ProviderDefinition | null;

/** Returns the id in a definition's `extends`, or null if it stands on its own. */
export function extendedId(definition: unknown): string | null {
  if (typeof definition !== 'object' || definition === null || !('extends' in definition)) return null;
  return typeof definition.extends === 'string' ? definition.extends : null;
}

/**
 * Puts the members of a definition in the place of those of the one that it extends. A member is replaced as a whole; in
 * `api`, each member of its own. The other's request for more scopes goes with its refresh tokens: a definition with rules of
 * its own for these has none. The id is never the other's. A scope table is not copied: `scopesOf` finds it through
 * `extends`.
 */
export function extended(base: ProviderDefinition, own: object): Record<string, unknown> {
  const { id: _id, extends: _extends, api: baseApi, scopeEnhancement, ...members } = base;
  const api: unknown = 'api' in own ? own.api : undefined;
  const mixed = api === undefined ? baseApi : typeof api === 'object' && api !== null ? { ...baseApi, ...api } : api;
  const enhancing = 'refreshToken' in own || scopeEnhancement === undefined ? {} : { scopeEnhancement };
  return { ...members, ...enhancing, ...own, api: mixed };
}

/**
 * Returns what is stored of a definition. One that extends another is stored as it was written, with what the vault found out
 * for it: its other members follow the built-in provider, also in later versions.
 */
export function writtenOf(input: unknown, resolved: ProviderDefinition, checked: ProviderDefinition): object {
  const written: unknown = typeof input === 'string' ? JSON.parse(input) : input;
  if (resolved.extends === undefined || typeof written !== 'object' || written === null) return resolved;
  const { endpoints, callback } = resolved;
  return {
    ...written,
    ...(endpoints === checked.endpoints ? {} : { endpoints }),
    ...(callback === checked.callback ? {} : { callback }),
  };
}
