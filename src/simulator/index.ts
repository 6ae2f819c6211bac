/**
 * Simulated providers, for trying Grantry without an account and for testing how it handles failing providers.
 *
 * @module grantry/simulator
 */

export { rewriteOrigins } from './definitions.ts';
export { type SimulatorOptions, simulatorProfiles } from './engine.ts';
export type { Sleep } from './fault-effects.ts';
export { ConnectionResetError } from './http/errors.ts';
export { RunningSimulator, startSimulator } from './server.ts';
export { createSimulator, Simulator } from './simulator.ts';
export type { SimulatorClock } from './state/clock.ts';
export type { NewDataCenter } from './state/data-centers.ts';
export type { RotationRule } from './state/families.ts';
export type { Fault, FaultEffect, Faults, PendingFault } from './state/faults.ts';
export type { EventKind, History, HistoryEvent, Outcome } from './state/history.ts';
export type { KnownOrganization } from './state/organizations.ts';
export {
  type BuiltInProfile,
  builtInProfile,
  builtInProfiles,
  captureProfiles,
  type OAuthProfile,
  rotationProfiles,
} from './state/profiles.ts';
export type { WindowRule } from './state/rate-windows.ts';
export {
  demoClient,
  type KnownUser,
  type Registry,
  type SimulatorClient,
  type SimulatorUser,
} from './state/registry.ts';
export type { Endpoint } from './state/request.ts';
export type { RandomSource } from './state/tokens.ts';
export { fingerprintOf } from './state/tokens.ts';
export type { Consent, FamilyView, MintedTokens } from './state/views.ts';
export type { CallbackSettings, RefreshTokenCap } from './state/zoho-settings.ts';
export {
  type SettingsScope,
  type ThrottleSettings,
  type ZohoChange,
  type ZohoSettings,
  type ZohoSettingsScopes,
  zohoDefaults,
} from './state/zoho-settings.ts';
