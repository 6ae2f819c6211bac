import type { ProviderDefinition, ProviderDefinitionInput } from '../definition.ts';

/**
 * Fills in the defaults of the definition's schema without the schema. Built-ins are read while a command starts, and
 * loading a validator would cost more than the rest of the start. A test compares both.
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
      lifetimeSeconds: input.accessToken?.lifetimeSeconds ?? 3600,
      expiresInUnit: input.accessToken?.expiresInUnit ?? 's',
      scheme: input.accessToken?.scheme ?? 'Bearer',
      earlyRefreshSeconds: input.accessToken?.earlyRefreshSeconds ?? 300,
    },
    refreshToken: {
      rotation: input.refreshToken?.rotation ?? 'strict',
      overlapSeconds: input.refreshToken?.overlapSeconds ?? 0,
      reuse: input.refreshToken?.reuse ?? 'error',
      replayAfterLoss: input.refreshToken?.replayAfterLoss ?? true,
      idleSeconds: input.refreshToken?.idleSeconds ?? null,
      absoluteSeconds: input.refreshToken?.absoluteSeconds ?? null,
      livePerUserAndClient: input.refreshToken?.livePerUserAndClient ?? null,
      revocationEnds: input.refreshToken?.revocationEnds ?? 'token',
    },
    errors: input.errors ?? [],
    api: {
      ...input.api,
      basePath: input.api.basePath ?? '',
      defaults: input.api.defaults ?? {},
      headers: input.api.headers ?? {},
      invalidToken: input.api.invalidToken ?? [{ status: 401 }],
      scopeMissing: input.api.scopeMissing ?? [],
    },
  };
}
