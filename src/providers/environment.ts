import { GrantryError } from '../base/errors.ts';
import { dcNames, type Metadata } from './data-centre.ts';
import type { ProviderDefinition } from './definition.ts';

/** Returns the provider's environments; empty when it has none. */
export function environmentNames(definition: ProviderDefinition): string[] {
  return Object.keys(definition.environments ?? {});
}

/**
 * Checks the name that a person or a file gives to an environment.
 *
 * @throws {GrantryError} `invalid_request`, with the valid names, for any other name
 */
export function resolveEnvironment(definition: ProviderDefinition, name: unknown): string {
  const names = environmentNames(definition);
  if (typeof name === 'string' && names.includes(name.trim().toLowerCase())) return name.trim().toLowerCase();
  const shown = typeof name === 'string' && /^[\x21-\x7e]{1,32}$/.test(name) ? `"${name}"` : 'that name';
  const isDc = typeof name === 'string' && dcNames(definition).includes(name);
  throw new GrantryError(
    'invalid_request',
    names.length === 0
      ? `${definition.id} has no environments, so ${shown} cannot be one.`
      : `${definition.id} has no environment ${shown}; there are ${names.join(', ')}.`,
    isDc
      ? { action: `Use an app in the data centre ${name}: at ${definition.id} the environments are data centres.` }
      : {},
  );
}

/**
 * Returns the hosts of a grant's environment, by the names of the data centre's hosts whose place they take; `null` for a
 * grant without an environment, and at a provider that has none.
 *
 * @throws {GrantryError} `invalid_request` for an environment that the definition does not have: the calls must not go to
 * another one
 */
export function environmentHosts(
  definition: ProviderDefinition,
  metadata: Metadata,
): Readonly<Record<string, string>> | null {
  const named = metadata['environment'];
  if (named === undefined || named === null || named === '' || definition.environments === undefined) return null;
  return definition.environments[resolveEnvironment(definition, named)] ?? null;
}

/** Tells whether a grant's environment decides about its API host, so that no answer does. */
export function pinsApiHost(definition: ProviderDefinition, metadata: Metadata): boolean {
  const named = metadata['environment'];
  if (typeof named !== 'string' || named === '') return false;
  const hosts = definition.environments?.[named];
  return hosts !== undefined && Object.hasOwn(hosts, baseHostName(definition));
}

/** The name of the data centre's host to which a provider's calls go. */
export function baseHostName({ api }: ProviderDefinition): string {
  return /^\{dc\.(\w+)\}/.exec(api.base ?? '')?.[1] ?? 'api';
}

/** Tells whether an environment is the one in which a grant is that names none: its host is the data centre's own. */
export function isUsual(definition: ProviderDefinition, environment: string): boolean {
  const name = baseHostName(definition);
  return definition.environments?.[environment]?.[name] === `{dc.${name}}`;
}

/**
 * Returns the environment whose host a person named as the API host of a grant; `null` for a host of several environments or
 * of none.
 */
export function environmentOfHost(definition: ProviderDefinition, apiDomain: unknown): string | null {
  if (typeof apiDomain !== 'string' || !URL.canParse(apiDomain)) return null;
  const { origin } = new URL(apiDomain);
  const name = baseHostName(definition);
  const hostsOf = ([environment, hosts]: [string, Readonly<Record<string, string>>]) => {
    const template = hosts[name];
    if (template === undefined) return [];
    const own = Object.values(definition.dataCenters ?? {}).map((centre) =>
      template.replace(/^\{dc\.(\w+)\}/, (_, host: string) => centre[host] ?? ''),
    );
    return own.some((url) => URL.canParse(url) && new URL(url).origin === origin) ? [environment] : [];
  };
  const found = Object.entries(definition.environments ?? {}).flatMap(hostsOf);
  return found.length === 1 ? (found[0] ?? null) : null;
}
