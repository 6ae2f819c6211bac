import { GrantryError } from '../base/errors.ts';
import { MissingGrantError } from '../vault/grant/missing.ts';
import { type CallRules, callRulesOf } from '../vault/key/call-rules.ts';
import { isListed } from '../vault/key/rights.ts';
import type { ApiKey } from '../vault/types.ts';

/** The kind of a route, for which a role is allowed or not. */
export type Action =
  | 'read_token'
  | 'see_grants'
  | 'use_proxy'
  /** Makes and completes connect sessions. */
  | 'connect'
  /** Changes and proofs: grants, apps, providers. */
  | 'operate'
  /** Makes a child of the key itself. */
  | 'make_child'
  | 'manage_keys'
  | 'adopt'
  | 'see_metrics'
  | 'see_audit';

const everybody = ['see_grants', 'make_child'] as const;

const actionsOf: Readonly<Record<ApiKey['role'], ReadonlySet<Action>>> = {
  admin: new Set([
    ...everybody,
    'read_token',
    'use_proxy',
    'connect',
    'operate',
    'manage_keys',
    'adopt',
    'see_metrics',
    'see_audit',
  ]),
  operator: new Set([...everybody, 'connect', 'operate', 'see_metrics', 'see_audit']),
  reader: new Set([...everybody, 'read_token', 'use_proxy']),
  caller: new Set([...everybody, 'use_proxy']),
  connector: new Set([...everybody, 'connect']),
};

/** Tells whether a role may do something. */
export function mayDo(role: ApiKey['role'], action: Action): boolean {
  return actionsOf[role].has(action);
}

/** The caller, as the API key identifies it. */
export interface Principal {
  readonly id: string;
  readonly name: string;
  readonly role: ApiKey['role'];
  /** `null`: all. */
  readonly tenants: ReadonlySet<string> | null;
  readonly providers: ReadonlySet<string> | null;
  /** The limits of its API calls; `null`: none. */
  readonly calls: CallRules | null;
  /** The origins whose pages may make calls with it; `null`: it is not for pages. */
  readonly origins: ReadonlySet<string> | null;
  readonly expiresAtMs: number;
}

/** Reads a key as the rights of its caller. */
export function principalOf(key: ApiKey): Principal {
  const listed = isListed(key.role);
  return {
    id: key.id,
    name: key.name,
    role: key.role,
    tenants: listed && key.tenants !== '*' ? new Set(key.tenants) : null,
    providers: listed && key.providers !== null ? new Set(key.providers) : null,
    calls: callRulesOf(key),
    origins: key.origins === null ? null : new Set(key.origins),
    expiresAtMs: key.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
  };
}

/** Checks that the caller's role allows an action. @throws {GrantryError} `forbidden` */
export function assertMay(principal: Principal, action: Action): void {
  if (actionsOf[principal.role].has(action)) return;
  throw new GrantryError('forbidden', `A key of the role ${principal.role} may not do this.`);
}

/** Checks that the caller may do something for a tenant at a provider. @throws {GrantryError} `forbidden` */
export function assertMayFor(
  principal: Principal,
  action: Action,
  { tenant, provider }: { tenant: string; provider: string },
): void {
  assertMay(principal, action);
  // The same answer whether or not there is such a tenant: a key must not find out who is a customer.
  if (principal.tenants !== null && !principal.tenants.has(tenant)) {
    throw new GrantryError('forbidden', 'This API key does not act for that tenant.');
  }
  if (principal.providers !== null && !principal.providers.has(provider)) {
    throw new GrantryError('forbidden', 'This API key does not act at that provider.');
  }
}

/** Returns an error as the caller may see it: a key that is limited to providers must not learn of a tenant's others. */
export function seenBy(principal: Principal, error: unknown): unknown {
  return error instanceof MissingGrantError && principal.providers !== null ? error.alone : error;
}

/** Tells whether the caller may know of a grant: a key that is limited to tenants must not learn of others. */
export function maySee(principal: Principal, { tenant, provider }: { tenant: string; provider: string }): boolean {
  return (principal.tenants?.has(tenant) ?? true) && (principal.providers?.has(provider) ?? true);
}
