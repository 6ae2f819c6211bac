/** The library: an OAuth grant vault over SQLite or PostgreSQL. Start at {@link openVault}. */
export { type ErrorReason, errorReasons } from './base/error-reasons.ts';
export {
  type ApiResponse,
  errorCodes,
  GrantryError,
  type GrantryErrorCode,
  type GrantryErrorOptions,
  isGrantryError,
} from './base/errors.ts';
export type { GrantKey } from './base/ids.ts';
export type { LogFields, Logger } from './base/log.ts';
export type { Meter } from './base/meter.ts';
export type { EgressProxy } from './base/network/egress-proxy.ts';
export type { LookupAll } from './base/network/guarded-connector.ts';
export { NotSentError } from './base/network/outbound-errors.ts';
export { type BuiltInProviderId, builtInProviderIds, type ProviderId } from './base/provider-ids.ts';
export { Secret } from './base/secret.ts';
export { type SystemWorldOptions, systemWorld } from './base/system-world.ts';
export type { Span, SpanFacts, SpanName, Tracer } from './base/tracer.ts';
export { type World, type WorldRequest } from './base/world.ts';
export type { ExtendingDefinitionInput, ProviderDefinition, ProviderDefinitionInput } from './providers/definition.ts';
export { scopeFindingKinds, scopeFindingLevels } from './providers/scope-lint.ts';
export {
  type ClientToken,
  type ClientTokenOptions,
  MultiDCTokenManager,
} from './vault/drop-in/multi-dc-token-manager.ts';
export {
  type ClientCredentials,
  type EnvironmentFallback,
  OAuthTokenService,
  type OAuthTokenServiceOptions,
  type ServiceTokens,
  type TokenRecord,
} from './vault/drop-in/token-service.ts';
export { type ApiCallOptions, type ApiRefusal, ZohoTokenManager } from './vault/drop-in/zoho-token-manager.ts';
export { openVault } from './vault/open.ts';
export type { VaultOptions } from './vault/options.ts';
export type * from './vault/types.ts';
export type { UpkeepOutcome } from './vault/upkeep/upkeep.ts';
export { startWorkers, type WorkerCounts, type Workers } from './workers/workers.ts';
