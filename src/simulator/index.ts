/**
 * Make-believe providers for trying Grantry without an account and for testing what happens when providers fail.
 *
 * @module grantry/simulator
 */
export type { SimulatorClock } from './clock.ts';
export { rewriteOrigins } from './definitions.ts';
export { ConnectionResetError } from './errors.ts';
export type { RotationRule } from './families.ts';
export type { Endpoint, Fault, FaultEffect, PendingFault } from './faults.ts';
export { createSimulator, Simulator } from './handle.ts';
export type { EventKind, History, HistoryEvent, Outcome } from './history.ts';
export {
  type BuiltInProfile,
  builtInProfile,
  builtInProfiles,
  captureProfiles,
  type OAuthProfile,
  rotationProfiles,
} from './profiles.ts';
export { demoClient, type SimulatorClient, type SimulatorUser } from './registry.ts';
export { RunningSimulator, startSimulator } from './server.ts';
export { type SimulatorOptions, simulatorProfiles } from './simulator.ts';
export { fingerprintOf } from './tokens.ts';
export type { Consent, FamilyView, MintedTokens } from './views.ts';
export type { NewDataCenter } from './zoho-data-centers.ts';
export {
  type SettingsScope,
  type ThrottleSettings,
  type ZohoChange,
  type ZohoSettings,
  zohoDefaults,
} from './zoho-settings.ts';
