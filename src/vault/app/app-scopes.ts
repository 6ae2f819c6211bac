import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { hideTokens } from '../../base/scrub.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { ScopeFinding, ScopeReasons } from '../../providers/scope-lint.ts';
import { comparable } from '../../providers/scopes.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import { checkObject, checkScopes, checkText } from '../checks.ts';
import type { VaultContext } from '../context.ts';

/** Scopes that were checked, as the provider spells them. */
export interface CheckedScopes {
  readonly scopes: string[];
  readonly warnings: readonly ScopeFinding[];
}

/**
 * Checks scopes from outside against what is known of the provider.
 *
 * @param reasons the reasons that the app keeps for broad scopes
 * @param options.kept scopes that were accepted before; a rule of the check may be younger than they are
 * @throws {GrantryError} `invalid_request` for a list that is not valid, and for a new scope that cannot exist
 */
export async function lintedScopes(
  definition: ProviderDefinition,
  value: readonly string[],
  reasons: ScopeReasons = {},
  { kept = [] }: { kept?: readonly string[] } = {},
): Promise<CheckedScopes> {
  const given = checkScopes(value);
  if (given.length === 0) return { scopes: given, warnings: [] };
  const [{ scopeKnowledge }, { lintScopes }] = await Promise.all([
    import('../../providers/scope-knowledge.ts'),
    import('../../providers/scope-lint.ts'),
  ]);
  const { scopes, findings } = lintScopes(await scopeKnowledge(definition), given, reasons);
  const old = new Set(kept.map((scope) => comparable(definition, scope)));
  const refused = findings.find(({ level, scope }) => level === 'error' && !old.has(comparable(definition, scope)));
  if (refused !== undefined) {
    throw invalidRequest(refused.message, { action: 'Use a scope as the provider documents it.' });
  }
  return { scopes: [...scopes], warnings: findings };
}

/**
 * Checks the reasons for broad scopes. They are listed for reviews, and stored unencrypted.
 *
 * @throws {GrantryError} `invalid_request` for a reason that is too long or holds a token, or is for no scope of the app
 */
export function checkReasons(
  definition: ProviderDefinition,
  scopes: readonly string[],
  value: ScopeReasons | undefined,
): ScopeReasons {
  if (value === undefined) return {};
  checkObject('scope reasons', value);
  const named = new Map(scopes.map((scope) => [comparable(definition, scope), scope]));
  const checked = Object.entries(value).map(([scope, text]): [string, string] => {
    const name = named.get(comparable(definition, scope));
    if (name === undefined) {
      throw invalidRequest(
        `A reason is given for ${hideTokens(scope.slice(0, limits.shownCharsMax))}, which is no scope of the app.`,
        {
          action: 'Give reasons for scopes of the list only.',
        },
      );
    }
    const reason = checkText(`reason for ${name}`, text, limits.scopeReasonCharsMax);
    if (hideTokens(reason) !== reason)
      throw invalidRequest(`The reason for ${name} holds a token; reasons are stored unencrypted.`);
    return [name, reason];
  });
  return Object.fromEntries(checked);
}

/** The reasons that an app keeps. */
export function reasonsOf(row: Pick<AppRow, 'scope_reasons'>): ScopeReasons {
  // Only `putAppOf` writes this column, as an object of strings.
  return row.scope_reasons === null ? {} : (JSON.parse(row.scope_reasons) as Record<string, string>);
}

/** The broad scopes of an app without a reason. Empty when the provider's definition is gone or cannot be read. */
export async function unexplainedScopes(
  context: VaultContext,
  { provider, scopes, reasons }: { provider: string; scopes: readonly string[]; reasons: ScopeReasons },
): Promise<string[]> {
  if (scopes.length === 0) return [];
  try {
    const definition = await context.providers.get(provider);
    if (definition === null) return [];
    const { scopeKnowledge } = await import('../../providers/scope-knowledge.ts');
    const { scopesWithoutReason } = await import('../../providers/scope-lint.ts');
    return scopesWithoutReason(await scopeKnowledge(definition), scopes, reasons);
  } catch (error) {
    // An app must be listed, also if its provider's definition cannot be read.
    if (error instanceof GrantryError) return [];
    throw error;
  }
}
