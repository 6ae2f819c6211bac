import { type AnswerEvent, html, json, type SimulatorAnswer } from '../http/answer.ts';
import { type IssuedAccessToken, useAccess } from '../state/families.ts';
import type { Outcome } from '../state/history.ts';
import { inOrganization } from '../state/organizations.ts';
import type { KnownUser } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import { environmentAt } from '../state/sites.ts';
import type { SimulatorState } from '../state/state.ts';
import { fingerprintOf } from '../state/tokens.ts';
import type { ZohoSettings } from '../state/zoho-settings.ts';
import { calendarEvents } from './calendar.ts';
import { allProducts, definedHosts } from './defined-products.ts';
import type { ApiProblem } from './envelopes.ts';
import { environmentOf } from './environments.ts';
import type { Operation, Product } from './product.ts';
import { covers } from './scopes.ts';

/** Number of records to keep per module and organisation; older ones are dropped. */
const recordsMax = 200;

const outcomes: Readonly<Record<ApiProblem, Outcome>> = {
  no_token: 'token_refused',
  bad_token: 'token_refused',
  scope: 'forbidden',
  organization: 'forbidden',
  too_many: 'throttled',
  not_found: 'invalid',
};

/**
 * Handles the product APIs of a data centre. Token, scope and organisation are checked in this order, and each product
 * uses its own envelope.
 */
export function zohoProducts(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const { url, site, headers } = incoming;
  const path = url.pathname;
  const product = productAt(url, incoming.method);
  const value = /^(?:Zoho-oauthtoken|Bearer)\s+(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? null;
  const event: AnswerEvent = {
    kind: 'api',
    outcome: 'ok',
    token: value === null ? undefined : fingerprintOf(value),
    detail: `${incoming.method} ${path}`,
  };
  if (path === '/oauth/user/info') return userInfo(state, incoming, value, event);
  if (product === undefined)
    return json(404, { error: 'not_found' }, { ...event, outcome: 'invalid', error: 'not_found' });
  if (value === null) return problem(product, 'no_token', event, state.zoho.for(site.dc, null));
  const token = living(state, incoming, value);
  if (typeof token === 'string') {
    const known = state.ledger.findAccess(value)?.family;
    const told = { ...event, family: known?.id, clientId: known?.clientId, user: known?.user, error: token };
    return problem(product, 'bad_token', told, state.zoho.for(site.dc, null));
  }
  const { family } = token;
  const told = { ...event, family: family.id, clientId: family.clientId, user: family.user };
  const settings = state.zoho.for(site.dc, family.clientId);
  const known = state.registry.user(family.user);
  const user = known === undefined ? undefined : inOrganization(known, family.organization);
  const operation = operationOf(product, incoming.method, path);
  if (operation === undefined || user === undefined) return problem(product, 'not_found', told, settings);
  const module = operation.path.exec(path)?.[1] ?? '';
  if (!covers(token.scopes, operation.scope.replace('{module}', module)))
    return problem(product, 'scope', told, settings);
  if (!isInOrganization(product, operation, incoming, user)) return problem(product, 'organization', told, settings);
  if (isOverLimit(state, product, user, settings)) return problem(product, 'too_many', told, settings);
  if (product.name === 'Calendar' && operation.answer === undefined)
    return calendarEvents(state, incoming, { match: operation.path.exec(path), user, event: told });
  if (operation.answer === undefined) return records(state, incoming, product, module, user, told);
  return json(200, operation.answer(user), told);
}

/** Returns the token if it is valid here, else the reason. A token of another data centre counts as expired. */
function living(state: SimulatorState, incoming: Incoming, value: string): IssuedAccessToken | string {
  const token = state.ledger.findAccess(value);
  if (token === undefined || token.family.profile !== 'zoho') return 'unknown token';
  if (token.family.dc !== incoming.site.dc) return `a token of data centre ${token.family.dc}`;
  if (state.registry.isDeactivated(token.family.user)) return 'the user is deactivated';
  const served = environmentAt(incoming.site, incoming.url);
  const environment = environmentOf(state, token.family);
  // Zoho has not published this answer. The token of another data centre gets the same.
  if (served !== null && served !== environment && !isAccounts(incoming))
    return `a token of a ${environment} organisation`;
  return useAccess(token, state.ledger.mintOf(token.family), state.clock.now()) ?? token;
}

/** The accounts server serves the users of every environment. */
function isAccounts({ url }: Incoming): boolean {
  return url.pathname.startsWith('/oauth/');
}

/** On one port several products share a path such as `/api/v1`: the one that knows the call gets it. */
function productAt({ hostname, pathname }: URL, method: string): Product | undefined {
  const there = allProducts.filter((each) => isAtHost(each, hostname) && each.prefix.test(pathname));
  return there.find((each) => operationOf(each, method, pathname) !== undefined) ?? there[0];
}

function operationOf({ operations }: Product, method: string, path: string): Operation | undefined {
  return operations.find((each) => each.method === method && each.path.test(path));
}

/** On the real hosts a product is identified by its host; on a local port only by its path. */
function isAtHost(product: Product, hostname: string): boolean {
  if (!/zoho/i.test(hostname) && !definedHosts.has(hostname)) return true;
  if (product.hosts !== undefined) return product.hosts.has(hostname);
  const label = hostname.split('.')[0] ?? '';
  const gateway = ['www', 'sandbox', 'developer', 'content'].includes(label);
  const isBehind = product.host === 'www' || ['Creator', 'WorkDrive'].includes(product.name);
  return product.host === label || product.alias === label || (gateway && isBehind);
}

function problem(product: Product, kind: ApiProblem, event: AnswerEvent, settings: ZohoSettings): SimulatorAnswer {
  const { status, body } = product.envelope(kind);
  const told: AnswerEvent = { ...event, outcome: outcomes[kind], error: event.error ?? kind };
  if (kind === 'too_many' && settings.apiThrottleBody !== 'product') {
    return settings.apiThrottleBody === 'html'
      ? html(429, 'Too many requests', told)
      : { status: 429, headers: {}, body: '', event: told };
  }
  if (kind === 'bad_token' && product.name === 'CRM' && typeof body === 'object' && body !== null) {
    return json(settings.crmInvalidTokenStatus, { ...body, code: settings.crmInvalidToken }, told);
  }
  return typeof body === 'string' ? html(status, body, told) : json(status, body, told);
}

function isInOrganization(product: Product, operation: Operation, incoming: Incoming, user: KnownUser): boolean {
  const place = product.organization;
  if (place === undefined || operation.withoutOrganization === true) return true;
  const given = place.in === 'header' ? incoming.headers.get(place.name) : incoming.query.get(place.name);
  return given === null ? !place.required : user.organizations.some(({ id }) => id === given);
}

function isOverLimit(state: SimulatorState, product: Product, user: KnownUser, settings: ZohoSettings): boolean {
  if (settings.apiCallsPerMinute === 'off') return false;
  const rule = { requests: settings.apiCallsPerMinute, windowSeconds: 60 };
  const key = `api ${product.name} ${user.orgId}`;
  const now = state.clock.now();
  if (!state.rateWindows.allows(key, rule, now)) return true;
  state.rateWindows.count(key, rule, now);
  return false;
}

function records(
  state: SimulatorState,
  incoming: Incoming,
  product: Product,
  module: string,
  user: KnownUser,
  event: AnswerEvent,
): SimulatorAnswer {
  const key = `${product.name} ${user.orgId} ${module.toLowerCase()}`;
  const kept = state.records.get(key) ?? [];
  if (incoming.method === 'GET') return json(200, listOf(product, module, kept), event);
  const added = recordsIn(incoming.bodyText).map((record, index) => ({
    id: String(1_000_000 + kept.length + index),
    ...record,
  }));
  if (added.length === 0) {
    const body = { code: 'INVALID_DATA', details: {}, message: 'body', status: 'error' };
    return json(400, body, { ...event, outcome: 'invalid' });
  }
  state.records.set(key, [...kept, ...added].slice(-recordsMax));
  const first = added[0];
  if (product.name === 'Desk') return json(200, first, event);
  if (product.organization !== undefined) return json(201, { code: 0, message: 'success', contact: first }, event);
  const data = added.map(({ id }) => ({
    code: 'SUCCESS',
    details: { id },
    message: 'record added',
    status: 'success',
  }));
  return json(201, { data }, event);
}

function listOf(product: Product, module: string, kept: readonly Record<string, unknown>[]): unknown {
  if (product.name === 'Desk') return { data: kept };
  if (product.organization !== undefined) return { code: 0, message: 'success', [module]: kept };
  return { data: kept, info: { count: kept.length, more_records: false, page: 1, per_page: 200 } };
}

/** Extracts the records of a body: CRM's `{"data": [ … ]}`, or one record. */
function recordsIn(text: string): Record<string, unknown>[] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return [];
    const list: unknown[] = 'data' in value && Array.isArray(value.data) ? value.data : [value];
    return list.flatMap((each) => (typeof each === 'object' && each !== null ? [{ ...each }] : []));
  } catch {
    return [];
  }
}

/** Handles `GET {accounts}/oauth/user/info`: the user of the token. */
function userInfo(
  state: SimulatorState,
  incoming: Incoming,
  value: string | null,
  event: AnswerEvent,
): SimulatorAnswer {
  const token = value === null ? 'no token' : living(state, incoming, value);
  if (typeof token === 'string')
    return json(401, { error: 'INVALID_OAUTHTOKEN' }, { ...event, outcome: 'token_refused', error: token });
  if (!covers(token.scopes, 'AaaServer.profile.READ'))
    return json(401, { error: 'INVALID_OAUTHSCOPE' }, { ...event, outcome: 'forbidden', error: 'scope' });
  const user = state.registry.user(token.family.user);
  const body = { ZUID: user?.zuid, Email: user?.id, Display_Name: user?.name };
  return json(200, body, { ...event, family: token.family.id, user: token.family.user });
}
