import { invalidRequest } from '../base/errors.ts';
import type { Metadata } from './data-centre.ts';
import type { ProductRules, ProviderDefinition } from './definition.ts';
import { environmentOfHost, isUsual, resolveEnvironment } from './environment.ts';

/**
 * Returns the definition as it applies to one call. Where one grant serves several products, host and path of the call choose
 * one of them: its rules stand in the place of the general ones, and a path goes to its host. A call of no known product
 * follows the general rules.
 *
 * @param host the name of the host that the caller gave beside a path
 * @throws {GrantryError} `invalid_request` for a path that several products have on hosts of their own
 */
export function forCall(definition: ProviderDefinition, pathOrUrl: string, host?: string): ProviderDefinition {
  const { products = [] } = definition;
  if (products.length === 0 || typeof pathOrUrl !== 'string') return definition;
  const found =
    pathOrUrl.startsWith('/') && host === undefined
      ? byPath(definition, products, pathOrUrl)
      : byHost(definition, products, pathOrUrl, host);
  return found === null ? definition : withRules(definition, found);
}

function byPath(
  definition: ProviderDefinition,
  products: readonly ProductRules[],
  pathOrUrl: string,
): ProductRules | null {
  const path = pathOrUrl.replace(/[?#].*$/s, '');
  const [first, ...others] = closest(products, path);
  if (first === undefined) return null;
  if (others.length === 0) return first;
  const names = [first, ...others].map(({ id }) => id);
  throw invalidRequest(`${shown(path)} may be a path of ${names.join(', ')}: ${definition.id} serves them all.`, {
    action: `Name the host: give the whole URL, such as ${exampleOf(definition, first)}${shown(path)}.`,
    reason: 'ambiguous_product',
  });
}

function byHost(
  definition: ProviderDefinition,
  products: readonly ProductRules[],
  pathOrUrl: string,
  host: string | undefined,
): ProductRules | null {
  const whole = host === undefined ? pathOrUrl : `https://${host}${pathOrUrl}`;
  if (!URL.canParse(whole)) return null;
  const url = new URL(whole);
  const hosts = hostsOf(definition);
  const there = products.filter((product) => hosts.get(product)?.has(url.host));
  const fitting = closest(there, url.pathname);
  if (fitting.length > 0) return fitting.length === 1 ? (fitting[0] ?? null) : null;
  // A host that only one product has tells enough.
  return there.length === 1 ? (there[0] ?? null) : null;
}

/** The products with the longest beginning of a path. */
function closest(products: readonly ProductRules[], path: string): ProductRules[] {
  const lengths = products.map((product) => {
    const fitting = product.paths.filter((each) => path === each || path.startsWith(`${each}/`));
    return Math.max(0, ...fitting.map((each) => each.length));
  });
  const longest = Math.max(0, ...lengths);
  return longest === 0 ? [] : products.filter((_, index) => lengths[index] === longest);
}

const applied = new WeakMap<ProviderDefinition, Map<ProductRules, ProviderDefinition>>();

/** Puts a product's rules in the place of the general ones; the same object each time. */
function withRules(definition: ProviderDefinition, product: ProductRules): ProviderDefinition {
  const known = applied.get(definition) ?? new Map<ProductRules, ProviderDefinition>();
  applied.set(definition, known);
  const before = known.get(product);
  if (before !== undefined) return before;
  const { organization: _general, ...api } = definition.api;
  const { environments, ...rest } = definition;
  // A product without environments is only in production, also for a grant that names one.
  const hostless = Object.fromEntries(Object.keys(environments ?? {}).map((name) => [name, {}]));
  const made: ProviderDefinition = {
    ...rest,
    ...(environments === undefined ? {} : { environments: product.environments === true ? environments : hostless }),
    api: {
      ...api,
      base: product.hosts[0] ?? '',
      defaults: { ...api.defaults, ...product.defaults },
      ...(product.organization === undefined ? {} : { organization: product.organization }),
      invalidToken: product.invalidToken ?? api.invalidToken,
      scopeMissing: product.scopeMissing ?? [],
    },
  };
  known.set(product, made);
  if (product.environments !== true) onlyUsual.set(made, definition);
  return made;
}

/** The whole provider's definitions, by those of their products that have no environments. */
const onlyUsual = new WeakMap<ProviderDefinition, ProviderDefinition>();

/**
 * Refuses a path of a product that is only in production for a grant of another environment, such as a sandbox: the call
 * would change production's data. Who names the host means production.
 *
 * @throws {GrantryError} `invalid_request`
 */
export function assertInEnvironment(rules: ProviderDefinition, path: string, metadata: Metadata): void {
  const provider = onlyUsual.get(rules);
  if (provider?.environments === undefined) return;
  const named = metadata['environment'];
  const isNamed = typeof named === 'string' && named !== '';
  // Grants that are older than environments are known by their host.
  const environment = isNamed
    ? resolveEnvironment(provider, named)
    : environmentOfHost(provider, metadata['api_domain']);
  if (environment === null || isUsual(provider, environment)) return;
  const at = shown(path.replace(/[?#].*$/s, ''));
  throw invalidRequest(
    `${at} is only in production, and this grant of ${provider.id} is of the environment ${environment}. The call was not sent.`,
    { action: 'Use a grant of production for it, or name the host if production is meant: give the whole URL.' },
  );
}

const known = new WeakMap<ProviderDefinition, ReadonlyMap<ProductRules, ReadonlySet<string>>>();

/** The names of each product's hosts, in all data centres. */
function hostsOf(definition: ProviderDefinition): ReadonlyMap<ProductRules, ReadonlySet<string>> {
  const before = known.get(definition);
  if (before !== undefined) return before;
  const made = new Map<ProductRules, ReadonlySet<string>>();
  for (const product of definition.products ?? []) {
    const urls = product.hosts.flatMap((template) => originsOf(definition, template));
    made.set(product, new Set(urls.map((url) => new URL(url).host)));
  }
  known.set(definition, made);
  return made;
}

/** The origins that a template of a product's host stands for, one per data centre. */
export function originsOf(definition: ProviderDefinition, template: string): string[] {
  const name = /^\{dc\.([\w.-]+)\}$/.exec(template)?.[1];
  if (name === undefined) return URL.canParse(template) ? [template] : [];
  const centers = Object.values(definition.dataCenters ?? {});
  return centers.flatMap((hosts) => {
    const host = Object.hasOwn(hosts, name) ? hosts[name] : undefined;
    return host !== undefined && URL.canParse(host) ? [host] : [];
  });
}

function exampleOf(definition: ProviderDefinition, { hosts }: ProductRules): string {
  return originsOf(definition, hosts[0] ?? '')[0] ?? '';
}

/** A caller's path, as far as a message shows it. */
function shown(path: string): string {
  return path.slice(0, 128).replace(/[^\x21-\x7e]/g, '?');
}
