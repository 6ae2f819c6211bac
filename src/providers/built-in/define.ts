import type { ProviderDefinition, ProviderDefinitionInput } from '../definition.ts';

/**
 * Fills in the defaults of the definition's schema, without the schema: built-ins are read while a command starts, and
 * loading a validator would cost more than everything else that happens then. A test compares both.
 */
export function define(input: ProviderDefinitionInput): ProviderDefinition {
  return {
    ...input,
    clientAuthentication: input.clientAuthentication ?? 'client_secret_post',
    pkce: input.pkce ?? 'S256',
    scopeSeparator: input.scopeSeparator ?? ' ',
    scopeMatching: input.scopeMatching ?? 'exact',
    authorizationParameters: input.authorizationParameters ?? {},
    refreshParameters: input.refreshParameters ?? {},
    accessToken: {
      lifetimeSeconds: 3600,
      expiresInUnit: 's',
      scheme: 'Bearer',
      earlyRefreshSeconds: 300,
      ...given(input.accessToken),
    },
    refreshToken: {
      rotation: 'strict',
      overlapSeconds: 0,
      reuse: 'error',
      replayAfterLoss: true,
      idleSeconds: null,
      absoluteSeconds: null,
      livePerUserAndClient: null,
      ...given(input.refreshToken),
    },
    errors: input.errors ?? [],
    api: {
      ...input.api,
      basePath: input.api.basePath ?? '',
      headers: input.api.headers ?? {},
      invalidToken: input.api.invalidToken ?? [{ status: 401 }],
      scopeMissing: input.api.scopeMissing ?? [],
    },
  };
}

type Given<T> = { [name in keyof T]?: Exclude<T[name], undefined> };

/** The members that have a value: an explicit `undefined` must not hide a default. */
function given<T extends object>(part: T | undefined): Given<T> {
  const entries = Object.entries(part ?? {}).filter(([, value]) => value !== undefined);
  // Only members of T were kept, and none of them is undefined.
  return Object.fromEntries(entries) as Given<T>;
}
