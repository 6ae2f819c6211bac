import { invalidRequest } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { resolveEnvironment } from '../../providers/environment.ts';
import { hasScope } from '../../providers/scopes.ts';
import { checkText } from '../checks.ts';

/** The demands on a connection, besides a grant. */
export interface Wanted {
  readonly environment: string | null;
  /** The id of the only organisation whose consent is stored. */
  readonly expectOrganization: string | null;
}

/**
 * Checks what a caller wants of a connection, before a person is sent to the provider.
 *
 * @param scopes the scopes that are asked for; empty if they are not known
 * @throws {GrantryError} `invalid_request`, also if the organisation could not be read afterwards
 */
export function checkWanted(
  definition: ProviderDefinition,
  scopes: readonly string[],
  { environment, expectOrganization }: { environment?: string | undefined; expectOrganization?: string | undefined },
): Wanted {
  return {
    environment: environment === undefined ? null : resolveEnvironment(definition, environment),
    expectOrganization: expectOrganization === undefined ? null : checkExpected(definition, scopes, expectOrganization),
  };
}

/**
 * More scopes for a grant leave its organisation and its environment as they are.
 *
 * @throws {GrantryError} `invalid_request` if the caller names one
 */
export function wantedOfAddition(input: {
  environment?: string | undefined;
  expectOrganization?: string | undefined;
}): Wanted {
  if (input.environment !== undefined || input.expectOrganization !== undefined) {
    throw invalidRequest('More scopes change neither the environment nor the organisation of a grant.', {
      action: 'Leave out environment and organisation, or connect again without more scopes.',
    });
  }
  return { environment: null, expectOrganization: null };
}

function checkExpected(definition: ProviderDefinition, scopes: readonly string[], expected: string): string {
  const id = checkText('expected organisation', expected, limits.nameCharsMax);
  const call = definition.api.health;
  if (call?.organizations === undefined) {
    throw invalidRequest(`${definition.id} does not say for which organisation a token is, so none can be expected.`);
  }
  if (call.scope !== undefined && scopes.length > 0 && !hasScope(definition, scopes, call.scope)) {
    throw invalidRequest(`The organisation is read with the scope ${call.scope}, which is not asked for.`, {
      action: `Add the scope ${call.scope}, or do not expect an organisation.`,
    });
  }
  return id;
}
