/**
 * Products that are known only from their provider definitions: each answers the health call of its definition, in the
 * definition's own words. So they cannot contradict it, as the products that are written by hand can.
 */
import { zohoDataCenters } from '../../providers/built-in/zoho/data-centers.ts';
import type { ZohoProduct } from '../../providers/built-in/zoho/product.ts';
import { zohoProducts } from '../../providers/built-in/zoho/products.ts';
import type { AnswerRule } from '../../providers/definition.ts';
import type { KnownUser } from '../state/registry.ts';
import type { ApiProblem, Envelope } from './envelopes.ts';
import { products as written } from './operations.ts';
import type { Operation, Product } from './product.ts';

const writtenIds = new Set(written.map(({ name }) => name.toLowerCase()));

/** A product without a health call has no call that is known well enough to answer. */
const defined: readonly Product[] = Object.entries(zohoProducts).flatMap(([id, product]) =>
  writtenIds.has(id) ? [] : definedProduct(product),
);

/** All products: those that are written by hand stand first. */
export const allProducts: readonly Product[] = [...written, ...defined];

/** The hosts at which a product of a definition answers; some are outside Zoho's own domains. */
export const definedHosts: ReadonlySet<string> = new Set(defined.flatMap(({ hosts }) => [...(hosts ?? [])]));

function definedProduct(product: ZohoProduct): Product[] {
  const { name, base, organization, health } = product;
  if (health === undefined) return [];
  const path = health.path.replace(/\?.*$/s, '');
  const operation: Operation = {
    method: health.method ?? 'GET',
    path: new RegExp(`^${literally(path)}$`),
    scope: health.scope ?? 'AaaServer.profile.READ',
    withoutOrganization: health.withoutOrganization === true,
    answer: (user) => answerOf(health, user),
  };
  const roots = [path, ...product.paths, ...(product.gatewayPaths ?? [])];
  return [
    {
      name,
      host: base,
      hosts: hostsOf(product),
      prefix: new RegExp(`^(?:${roots.map(literally).join('|')})(?:/|$)`),
      envelope: envelopeOf(product),
      organization: organization === undefined ? undefined : { ...organization, required: false },
      operations: [operation],
    },
  ];
}

function hostsOf({ base, hosts = [] }: ZohoProduct): ReadonlySet<string> {
  const centers = Object.values(zohoDataCenters());
  return new Set(
    centers.flatMap((center) =>
      [base, ...hosts].flatMap((name) => (center[name] === undefined ? [] : hostOf(center[name]))),
    ),
  );
}

function hostOf(url: string): string {
  return new URL(url).hostname;
}

/** The answer to the health call: the user's organisations and the name, at the places that the definition reads. */
function answerOf(health: NonNullable<ZohoProduct['health']>, user: KnownUser): unknown {
  const { organizations, name } = health;
  let answer: unknown = {};
  if (organizations !== undefined) {
    const listed = user.organizations.map(({ id, name: called }) => {
      let each: unknown = {};
      for (const pointer of organizations.ids) each = put(each, pointer, id);
      if (organizations.name !== undefined) each = put(each, organizations.name, called);
      return organizations.default === undefined ? each : put(each, organizations.default, id === user.orgId);
    });
    answer = put(answer, organizations.list, listed);
  } else if (name !== undefined) answer = put(answer, name, user.orgName);
  return answer;
}

/** The answers by which the definition recognises a refusal; `INVALID_OAUTHTOKEN` and its like where it reads no body. */
function envelopeOf({ invalidToken = [], scopeMissing = [] }: ZohoProduct): Envelope {
  const token = invalidToken.find(namesCode);
  const scope = scopeMissing.find(namesCode);
  const pointer = scope?.pointer ?? token?.pointer ?? '/code';
  const plain: Readonly<Record<ApiProblem, readonly [number, string]>> = {
    no_token: [401, 'INVALID_OAUTHTOKEN'],
    bad_token: [401, 'INVALID_OAUTHTOKEN'],
    scope: [401, 'INVALID_OAUTHSCOPE'],
    organization: [403, 'NO_PERMISSION'],
    too_many: [429, 'TOO_MANY_REQUESTS'],
    not_found: [404, 'URL_NOT_FOUND'],
  };
  return (problem) => {
    const rule = problem === 'scope' ? scope : problem === 'bad_token' || problem === 'no_token' ? token : undefined;
    const [status, code] = plain[problem];
    return {
      status: rule?.status ?? status,
      body: put({}, rule?.pointer ?? pointer, rule?.equals ?? code),
    };
  };
}

function namesCode({ pointer, equals }: AnswerRule): boolean {
  return pointer !== undefined && equals !== undefined;
}

/** Returns the document with a value at a JSON Pointer; what is missing on the way is made. */
function put(document: unknown, pointer: string, value: unknown): unknown {
  const [, part, rest] = /^\/([^/]*)(.*)$/s.exec(pointer) ?? [];
  if (part === undefined || rest === undefined) return value;
  const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
  if (/^\d+$/.test(name)) {
    const list: unknown[] = Array.isArray(document) ? [...document] : [];
    list[Number(name)] = put(list[Number(name)], rest, value);
    return list;
  }
  const members = new Map<string, unknown>(
    typeof document === 'object' && document !== null ? Object.entries(document) : [],
  );
  return Object.fromEntries(members.set(name, put(members.get(name), rest, value)));
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
