import type { WorldRequest } from '../base/world.ts';
import type { ProviderDefinitionInput } from '../providers/definition.ts';
import { definitionFor, definitionIds, localised } from './definitions.ts';
import { newEngine, type SimulatorEngine, type SimulatorOptions } from './engine.ts';
import type { SimulatorClock } from './state/clock.ts';
import { type Family, revokeFamily } from './state/families.ts';
import type { Faults } from './state/faults.ts';
import type { History } from './state/history.ts';
import type { Registry } from './state/registry.ts';
import { consentOf, type SimulatorState } from './state/state.ts';
import { fingerprintOf, plainValue } from './state/tokens.ts';
import { type Consent, type FamilyView, type MintedTokens, viewOf } from './state/views.ts';
import type { ZohoSettingsScopes } from './state/zoho-settings.ts';
import { makeCode } from './zoho/authorize.ts';

/**
 * Simulated providers: authorization servers and APIs with a movable clock, faults on request and a recorded history.
 *
 * A fault test compares a client's view of a grant with the provider's history.
 */
export class Simulator {
  /** The time of all servers. */
  readonly clock: SimulatorClock;
  /** Recorded events, oldest first. */
  readonly history: History;
  /** Queue of the faults that wait for a request. */
  readonly faults: Faults;
  /** Clients and users, the user at the browser, and whether consent is given without asking. */
  readonly registry: Registry;
  /** Switches of the simulated Zoho: `change` sets some, for all or for one data centre or client. */
  readonly zoho: ZohoSettingsScopes;
  readonly #engine: SimulatorEngine;
  readonly #state: SimulatorState;

  /** @internal Call {@link createSimulator} instead. */
  constructor(engine: SimulatorEngine) {
    const { state } = engine;
    this.#engine = engine;
    this.#state = state;
    this.clock = state.clock;
    this.history = state.history;
    this.faults = state.faults;
    this.registry = state.registry;
    this.zoho = state.zoho;
  }

  /**
   * Answers a request to any of the simulated hosts, without a socket.
   *
   * Rejects with a `ConnectionResetError` when a fault breaks the connection. A hanging request stays pending until its
   * signal or `close` ends it.
   */
  async fetch(request: Request): Promise<Response> {
    return this.#engine.fetch(request);
  }

  /**
   * The simulator's `fetch` for a `World`: every request of that world goes to the simulated providers.
   *
   * @example
   * import { openVault, systemWorld } from 'grantry';
   * import { createSimulator } from 'grantry/simulator';
   *
   * const simulator = createSimulator();
   * await using vault = await openVault({ world: { ...systemWorld(), fetch: simulator.worldFetch } });
   */
  readonly worldFetch = async (url: string, init: WorldRequest): Promise<Response> => {
    init.beforeSend?.();
    const { method, headers, body, signal } = init;
    const streamed = body instanceof ReadableStream ? { duplex: 'half' as const } : {};
    return this.fetch(
      new Request(url, {
        method,
        headers,
        redirect: 'manual',
        ...(body === undefined || body === null ? {} : { body: typeof body === 'string' ? body : bodyOf(body) }),
        ...(signal === undefined ? {} : { signal }),
        ...streamed,
      }),
    );
  };

  /** Returns the address of each server: `{ "zoho/eu": "http://127.0.0.1:4101", "strict": "…" }`. */
  origins(): Record<string, string> {
    return Object.fromEntries(
      this.#state.sites.list().flatMap((site) => {
        const name = site.dc === null ? site.profile : `${site.profile}/${site.dc}`;
        const own = [...site.environments].map(([environment, origin]) => [`${name}/${environment}`, origin] as const);
        return [[name, site.origin] as const, ...own];
      }),
    );
  }

  /**
   * Returns the provider definition of one simulated server, ready for `grantry provider add`.
   *
   * @throws {RangeError} when no server has that id
   */
  definition(providerId: string): ProviderDefinitionInput {
    return definitionFor(this.#state.sites, providerId);
  }

  /** Lists the ids that {@link definition} accepts. */
  definitionIds(): string[] {
    return definitionIds(this.#state.sites);
  }

  /**
   * Replaces every real address of a simulated server in a definition. Data centres and hosts that do not run here are
   * left out.
   */
  rewrite<Definition extends ProviderDefinitionInput>(definition: Definition): Definition {
    return localised(this.#state.sites, definition);
  }

  /** Deletes a client and revokes all its grants. @returns whether it existed */
  removeClient(clientId: string): boolean {
    for (const family of this.#state.ledger.families())
      if (family.clientId === clientId) revokeFamily(family, 'its client was deleted');
    return this.#state.registry.removeClient(clientId);
  }

  /** Creates a code as Zoho's console does for a self client: it is exchanged without a redirect URI. */
  mintCode(consent: Consent & { readonly lifeSeconds?: number | undefined }): string {
    const { clientId, user, scopes, organization = null } = consent;
    const dc = this.#userOf(consent).dc;
    const seconds = consent.lifeSeconds ?? this.#state.zoho.for(dc, clientId).selfClientCodeSeconds;
    const parts = {
      dc,
      clientId,
      user,
      scopes,
      organization,
      redirectUri: null,
      challenge: null,
      withRefreshToken: true,
    };
    return makeCode(this.#state, parts, seconds).value;
  }

  /** Creates a grant with its tokens at once; no limit applies. */
  mintTokens(consent: Consent): MintedTokens {
    const state = this.#state;
    const profile = consent.profile ?? 'zoho';
    const dc = profile === 'zoho' ? this.#userOf(consent).dc : null;
    if (state.sites.find(profile, dc) === undefined)
      throw new RangeError(`No server ${profile}${dc === null ? '' : `/${dc}`} runs here.`);
    const { clientId, user, scopes, organization = null } = consent;
    const now = state.clock.now();
    const opened = state.ledger.open({ profile, dc, clientId, user, organization, scopes: [...scopes] }, now);
    const pair = state.ledger.firstTokens(opened, now, true);
    const refreshToken = pair.refreshToken?.value ?? plainValue(state.random, 'rt');
    const { value: accessToken, expiresAt, family } = pair.accessToken;
    if (profile === 'zoho') consentOf(state, profile, clientId, user).offline = true;
    state.history.append({
      at: now,
      profile,
      dc,
      kind: 'control',
      outcome: 'issued',
      clientId,
      user,
      family: family.id,
      successor: fingerprintOf(refreshToken),
      accessToken: fingerprintOf(accessToken),
      detail: 'minted',
    });
    return { accessToken, refreshToken, expiresAt, family: family.id };
  }

  /**
   * Revokes every grant of a user, or of a user and a client, as the Connected Apps page does. @returns the number of
   * grants revoked
   */
  disconnect(user: string, clientId?: string): number {
    const met = this.#state.ledger
      .families()
      .filter(
        (family) =>
          family.user === user && family.revoked === null && (clientId === undefined || family.clientId === clientId),
      );
    for (const family of met) this.#kill(family, 'the user removed the application');
    return met.length;
  }

  /**
   * Counts the refresh tokens of a Zoho user and client that are alive, and tells which grant the next consent ends. `max`
   * is `null` while the limit is off.
   */
  slots(user: string, clientId: string): { living: number; max: number | null; next: FamilyView | null } {
    const { ledger, zoho, registry } = this.#state;
    const { refreshTokens } = zoho.for(registry.user(user)?.dc ?? null, clientId);
    const per = refreshTokens !== 'off' && refreshTokens.per === 'user' ? undefined : clientId;
    const living = ledger.livingOf({ profile: 'zoho', user, clientId: per }, this.clock.now());
    const max = refreshTokens === 'off' ? null : refreshTokens.max;
    const [oldest] = living;
    const ends = oldest !== undefined && refreshTokens !== 'off' && refreshTokens.overflow === 'evict';
    return { living: living.length, max, next: ends && living.length >= (max ?? 0) ? this.#view(oldest) : null };
  }

  /** Revokes the grant that a refresh token belongs to. @returns whether there was one */
  revoke(refreshToken: string): boolean {
    const family = this.#state.ledger.findRefresh(refreshToken)?.family;
    if (family !== undefined) this.#kill(family, 'it was revoked');
    return family !== undefined;
  }

  /** Makes an access token invalid before it expires. @returns whether it was known */
  killAccessToken(accessToken: string): boolean {
    const token = this.#state.ledger.findAccess(accessToken);
    if (token !== undefined) token.dead ??= 'it was killed';
    return token !== undefined;
  }

  /** Returns every grant that was ever made, oldest first. */
  families(): readonly FamilyView[] {
    return this.#state.ledger.families().map((family) => this.#view(family));
  }

  /** Returns the grant with that id, or `null`. */
  family(id: string): FamilyView | null {
    const family = this.#state.ledger.family(id);
    return family === undefined ? null : this.#view(family);
  }

  /** Returns the grant that a refresh token belongs to, even a spent one; `null` for an unknown token. */
  familyOf(refreshToken: string): FamilyView | null {
    const family = this.#state.ledger.findRefresh(refreshToken)?.family;
    return family === undefined ? null : this.#view(family);
  }

  /** Returns the newest refresh token of a family that the provider would accept now; `null` when the grant is lost. */
  currentRefreshToken(familyId: string): string | null {
    const { ledger } = this.#state;
    const family = ledger.family(familyId);
    return family === undefined ? null : (ledger.currentOf(family, this.clock.now())?.value ?? null);
  }

  /** Tells whether the provider would accept a refresh with this token now, apart from throttles. */
  isAlive(refreshToken: string): boolean {
    return this.#state.ledger.isAlive(refreshToken, this.clock.now());
  }

  /** Clears grants, codes, faults, limits, changed switches and history; clients, users and the clock stay. */
  reset(): void {
    const state = this.#state;
    state.ledger.clear();
    state.rateWindows.clear();
    state.faults.clear();
    state.zoho.clear();
    state.history.clear();
    for (const kept of [state.codes, state.devices, state.enhancements, state.consents]) kept.clear();
  }

  /** Ends all hanging requests. */
  close(): Promise<void> {
    this.#engine.stop();
    return Promise.resolve();
  }

  #view(family: Family): FamilyView {
    return viewOf(this.#state.ledger, family, this.clock.now());
  }

  #userOf(consent: Consent) {
    const user = this.#state.registry.user(consent.user);
    if (user === undefined) throw new RangeError(`No user ${JSON.stringify(consent.user)} is registered.`);
    const { organization } = consent;
    if (organization !== undefined && !user.organizations.some(({ id }) => id === organization))
      throw new RangeError(`${user.id} has no organisation ${JSON.stringify(organization)}.`);
    return user;
  }

  #kill(family: Family, reason: string): void {
    revokeFamily(family, reason);
    const { profile, dc, clientId, user, id } = family;
    this.#state.history.append({
      at: this.clock.now(),
      profile,
      dc,
      kind: 'control',
      outcome: 'revoked',
      clientId,
      user,
      family: id,
      detail: reason,
    });
  }
}

/**
 * Creates a simulator without sockets: pass requests to {@link Simulator.fetch}, at the real hosts' addresses.
 *
 * Use it in deterministic tests, with your own clock and random source. {@link startSimulator} listens on ports
 * instead.
 *
 * @example
 * import { createSimulator, demoClient } from 'grantry/simulator';
 *
 * const simulator = createSimulator({ profiles: ['strict'], now: () => 0, autoApprove: true });
 * const { refreshToken } = simulator.mintTokens({ profile: 'strict', clientId: demoClient.clientId, user: 'user@us.example', scopes: [] });
 */
export function createSimulator(options: SimulatorOptions = {}): Simulator {
  return new Simulator(newEngine(options));
}

/** Copies bytes into a new buffer, as a request requires; returns a stream unchanged. */
function bodyOf(body: Uint8Array | ReadableStream<Uint8Array>): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  return body instanceof Uint8Array ? new Uint8Array(body) : body;
}
