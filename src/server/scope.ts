import { GrantryError } from '../base/errors.ts';
import { type Action, assertMayFor, type Principal } from './principal.ts';

/** The tenants and providers that a list is asked for. */
interface Wanted {
  readonly tenant?: string | undefined;
  readonly tenants?: readonly string[] | undefined;
  readonly provider?: string | undefined;
  readonly providers?: readonly string[] | undefined;
}

/** Narrows a list to the tenants and providers that the key names. Asking for any other is refused. */
export function scopeOf(principal: Principal, action: Action, wanted: Wanted): Wanted {
  const { tenant, provider } = wanted;
  if (tenant !== undefined && provider !== undefined) assertMayFor(principal, action, { tenant, provider });
  return {
    tenant,
    provider,
    tenants: narrowed(principal.tenants, [tenant, wanted.tenants], 'This API key does not act for that tenant.'),
    providers: narrowed(
      principal.providers,
      [provider, wanted.providers],
      'This API key does not act at that provider.',
    ),
  };
}

function narrowed(
  allowed: ReadonlySet<string> | null,
  [one, several]: readonly [string | undefined, readonly string[] | undefined],
  refusal: string,
): readonly string[] | undefined {
  if (allowed === null) return several;
  const asked = [...(one === undefined ? [] : [one]), ...(several ?? [])];
  if (asked.some((name) => !allowed.has(name))) throw new GrantryError('forbidden', refusal);
  return several ?? [...allowed];
}
