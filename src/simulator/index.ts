/**
 * Make-believe providers for trying Grantry without an account and for testing what happens when providers fail.
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
export type { Endpoint } from './state/endpoints.ts';
export type { RotationRule } from './state/families.ts';
export type { Fault, FaultEffect, PendingFault } from './state/faults.ts';
export type { EventKind, History, HistoryEvent, Outcome } from './state/history.ts';
export {
  type BuiltInProfile,
  builtInProfile,
  builtInProfiles,
  captureProfiles,
  type OAuthProfile,
  rotationProfiles,
} from './state/profiles.ts';
export type { WindowRule } from './state/rate-windows.ts';
export { demoClient, type SimulatorClient, type SimulatorUser } from './state/registry.ts';
export type { Dice } from './state/tokens.ts';
export { fingerprintOf } from './state/tokens.ts';
export type { Consent, FamilyView, MintedTokens } from './state/views.ts';
export type { CallbackSettings, RefreshTokenCap } from './state/zoho-settings.ts';
export {
  type SettingsScope,
  type ThrottleSettings,
  type ZohoChange,
  type ZohoSettings,
  zohoDefaults,
} from './state/zoho-settings.ts';
