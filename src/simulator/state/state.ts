import type { SimulatorClock } from './clock.ts';
import type { Family, Mint } from './families.ts';
import { noRotation } from './families.ts';
import type { Faults } from './faults.ts';
import type { History } from './history.ts';
import { Ledger } from './ledger.ts';
import { RateWindows } from './rate-windows.ts';
import type { Registry } from './registry.ts';
import type { Sites } from './sites.ts';
import { plainValue, type RandomSource, zohoValue } from './tokens.ts';
import type { ZohoSettingsScopes } from './zoho-settings.ts';

/** An authorization code that was issued and not yet forgotten. */
export interface Code {
  readonly value: string;
  readonly profile: string;
  readonly dc: string | null;
  readonly clientId: string;
  readonly user: string;
  /** The organisation that was picked; `null` for the user's first one. */
  readonly organization: string | null;
  readonly scopes: readonly string[];
  /** `null` for self clients. */
  readonly redirectUri: string | null;
  readonly challenge: { readonly value: string; readonly method: string } | null;
  readonly withRefreshToken: boolean;
  readonly expiresAt: number;
  /** Set when the client made more codes than allowed; the exchange then refuses it. */
  readonly overLimit: boolean;
  used: boolean;
}

/** A device that waits for its user. */
export interface DeviceRequest {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly clientId: string;
  readonly dc: string;
  readonly scopes: readonly string[];
  readonly offline: boolean;
  readonly expiresAt: number;
  lastPoll: number | null;
  decision: { readonly user: string; readonly accepted: boolean } | null;
}

/** Permission to add scopes to a refresh token. */
export interface Enhancement {
  readonly token: string;
  readonly refreshToken: string;
  readonly clientId: string;
  readonly expiresAt: number;
}

/** The whole state of a simulator. Handlers read it, change it and answer in one synchronous step. */
export interface SimulatorState {
  readonly clock: SimulatorClock;
  readonly random: RandomSource;
  readonly sites: Sites;
  readonly registry: Registry;
  readonly ledger: Ledger;
  readonly history: History;
  readonly faults: Faults;
  readonly zoho: ZohoSettingsScopes;
  readonly rateWindows: RateWindows;
  readonly codes: Map<string, Code>;
  readonly devices: Map<string, DeviceRequest>;
  readonly enhancements: Map<string, Enhancement>;
  /** Scopes that a user has consented to, by user and client; `offline` is set once a refresh token was issued. */
  readonly consents: Map<string, { scopes: Set<string>; offline: boolean }>;
  /** Records of the product APIs, by organisation and module; events of calendars by calendar. */
  readonly records: Map<string, Record<string, unknown>[]>;
}

type Parts = Pick<SimulatorState, 'clock' | 'random' | 'sites' | 'registry' | 'history' | 'faults' | 'zoho'>;

export function newState(parts: Parts): SimulatorState {
  return {
    ...parts,
    ledger: new Ledger((family) => mintOf(parts, family)),
    rateWindows: new RateWindows(),
    codes: new Map(),
    devices: new Map(),
    enhancements: new Map(),
    consents: new Map(),
    records: new Map(),
  };
}

/** Returns the consent that a user gave a client; an empty one if there is none. */
export function consentOf(
  state: SimulatorState,
  profile: string,
  clientId: string,
  user: string,
): { scopes: Set<string>; offline: boolean } {
  const key = JSON.stringify([profile, clientId, user]);
  const found = state.consents.get(key) ?? { scopes: new Set<string>(), offline: false };
  state.consents.set(key, found);
  return found;
}

/** Stores a new code and forgets long expired ones. */
export function keepCode(state: SimulatorState, code: Code): void {
  state.codes.set(code.value, code);
  if (state.codes.size < 1_000) return;
  const now = state.clock.now();
  for (const old of state.codes.values()) if (old.expiresAt + 600_000 < now) state.codes.delete(old.value);
}

function mintOf(parts: Parts, family: Family): Mint {
  const profile = parts.sites.find(family.profile, family.dc)?.oauth;
  if (profile) {
    return {
      accessValue: () => plainValue(parts.random, 'at'),
      refreshValue: () => plainValue(parts.random, 'rt'),
      accessTokenSeconds: profile.accessTokenSeconds,
      rule: profile.rotation,
      idleSeconds: profile.idleSeconds,
      absoluteSeconds: profile.absoluteSeconds,
      activeAccessTokensMax: null,
    };
  }
  const settings = parts.zoho.for(family.dc, family.clientId);
  return {
    accessValue: () => zohoValue(parts.random),
    refreshValue: () => zohoValue(parts.random),
    accessTokenSeconds: settings.accessTokenSeconds,
    rule: noRotation,
    idleSeconds: null,
    absoluteSeconds: null,
    activeAccessTokensMax: settings.activeAccessTokens,
  };
}
