import type { WorldRequest } from '../base/world.ts';
import type { ProviderDefinitionInput } from '../providers/definition.ts';
import { definitionFor, definitionIds, localised } from './definitions.ts';
import { type Engine, newEngine, type SimulatorOptions } from './engine.ts';
import type { SimulatorClock } from './state/clock.ts';
import { type Family, revokeFamily } from './state/families.ts';
import type { Fault, PendingFault } from './state/faults.ts';
import type { History } from './state/history.ts';
import type { SimulatorClient, SimulatorUser } from './state/registry.ts';
import { type Core, consentOf } from './state/state.ts';
import { fingerprintOf, plainValue } from './state/tokens.ts';
import { type Consent, type FamilyView, type MintedTokens, viewOf } from './state/views.ts';
import type { SettingsScope, ZohoChange } from './state/zoho-settings.ts';
import { makeCode } from './zoho/authorize.ts';

/**
 * Make-believe providers: authorization servers and APIs with a clock that can be moved, faults on request and a
 * recorded history.
 *
 * Its history is the judge of a fault test: what a client believes about a grant is compared with what the provider
 * knows.
 */
export class Simulator {
  readonly #engine: Engine;

  /** @internal Call {@link createSimulator} instead. */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get #core(): Core {
    return this.#engine.core;
  }

  /** The time of all servers. */
  get clock(): SimulatorClock {
    return this.#core.clock;
  }

  /** What happened, oldest first. */
  get history(): History {
    return this.#core.history;
  }

  /**
   * Answers a request to any of the simulated hosts, without a socket.
   *
   * Rejects with a `ConnectionResetError` where a fault breaks the connection, and stays pending where one hangs it until
   * the request's signal or `close` ends it.
   */
  async fetch(request: Request): Promise<Response> {
    return this.#engine.fetch(request);
  }

  /**
   * The same as a `World`'s `fetch`: a world that has this one lives entirely among simulated providers.
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

  /** The address of each server: `{ "zoho/eu": "http://127.0.0.1:4101", "strict": "…" }`. */
  origins(): Record<string, string> {
    return Object.fromEntries(
      this.#core.sites
        .list()
        .map((site) => [site.dc === null ? site.profile : `${site.profile}/${site.dc}`, site.origin]),
    );
  }

  /**
   * The provider definition of one of the simulated servers, ready for `grantry provider add`.
   *
   * @throws {RangeError} when no server here has that id
   */
  definition(providerId: string): ProviderDefinitionInput {
    return definitionFor(this.#core.sites, providerId);
  }

  /** The ids that {@link definition} takes here. */
  definitionIds(): string[] {
    return definitionIds(this.#core.sites);
  }

  /**
   * A definition with every real address of a simulated server replaced by the address it has here; data centres and
   * hosts that do not run here are left out.
   */
  rewrite<Definition extends ProviderDefinitionInput>(definition: Definition): Definition {
    return localised(this.#core.sites, definition);
  }

  /** Registers a client. */
  addClient(client: SimulatorClient): void {
    this.#core.registry.putClient(client);
  }

  /** Deletes a client; all its grants die. */
  removeClient(clientId: string): boolean {
    for (const family of this.#core.book.families())
      if (family.clientId === clientId) revokeFamily(family, 'its client was deleted');
    return this.#core.registry.removeClient(clientId);
  }

  /** Lists the clients. */
  clients(): readonly SimulatorClient[] {
    return this.#core.registry.clients();
  }

  /** Adds a user. */
  addUser(user: SimulatorUser): void {
    this.#core.registry.putUser(user);
  }

  /** Lists the users. */
  users(): readonly SimulatorUser[] {
    return this.#core.registry.users();
  }

  /** Takes a Zoho user out of the organisation, or back in: meanwhile their tokens are refused, and none of them dies. */
  setActive(user: string, active: boolean): void {
    this.#core.registry.setActive(user, active);
  }

  /** Decides who sits at the browser; `null` for the first user of each data centre. */
  signIn(user: string | null): void {
    this.#core.registry.signIn(user);
  }

  /** Whether consent is given without asking. */
  set autoApprove(on: boolean) {
    this.#core.autoApprove = on;
  }

  get autoApprove(): boolean {
    return this.#core.autoApprove;
  }

  /** Makes a code as Zoho's console does for a self client: exchanged without a redirect URI. */
  mintCode(consent: Consent & { readonly lifeSeconds?: number | undefined }): string {
    const { clientId, scopes } = consent;
    const dc = this.#userOf(consent).dc;
    const seconds = consent.lifeSeconds ?? this.#core.zoho.for(dc, clientId).selfClientCodeSeconds;
    const parts = {
      dc,
      clientId,
      user: consent.user,
      scopes,
      redirectUri: null,
      challenge: null,
      withRefreshToken: true,
    };
    return makeCode(this.#core, parts, seconds).value;
  }

  /** Makes a whole grant at once, past every limit. */
  mintTokens(consent: Consent): MintedTokens {
    const core = this.#core;
    const profile = consent.profile ?? 'zoho';
    const dc = profile === 'zoho' ? this.#userOf(consent).dc : null;
    if (core.sites.find(profile, dc) === undefined)
      throw new RangeError(`No server ${profile}${dc === null ? '' : `/${dc}`} runs here.`);
    const { clientId, user, scopes } = consent;
    const now = core.clock.now();
    const pair = core.book.firstTokens(
      core.book.open({ profile, dc, clientId, user, scopes: [...scopes] }, now),
      now,
      true,
    );
    const refreshToken = pair.refreshToken?.value ?? plainValue(core.dice, 'rt');
    const { value: accessToken, expiresAt, family } = pair.accessToken;
    if (profile === 'zoho') consentOf(core, profile, clientId, user).offline = true;
    core.history.append({
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

  /** Queues a fault. @returns its id */
  addFault(fault: Fault): number {
    return this.#core.faults.add(fault, this.#core.clock.now());
  }

  /** Removes a fault. @returns whether it was still queued */
  removeFault(id: number): boolean {
    return this.#core.faults.remove(id);
  }

  /** Removes every queued fault. */
  clearFaults(): void {
    this.#core.faults.clear();
  }

  /** Lists the queued faults. */
  faults(): readonly PendingFault[] {
    return this.#core.faults.pending();
  }

  /** Changes switches of the simulated Zoho, for all or for one data centre or client. */
  configureZoho(change: ZohoChange, scope: SettingsScope = {}): void {
    this.#core.zoho.change(change, scope);
  }

  /** Revokes everything a user allowed a client, as the Connected Apps page does. @returns how many grants died */
  disconnect(user: string, clientId?: string): number {
    const met = this.#core.book
      .families()
      .filter(
        (family) =>
          family.user === user && family.revoked === null && (clientId === undefined || family.clientId === clientId),
      );
    for (const family of met) this.#kill(family, 'the user removed the application');
    return met.length;
  }

  /** Revokes the grant that a refresh token belongs to. @returns whether there was one */
  revoke(refreshToken: string): boolean {
    const family = this.#core.book.findRefresh(refreshToken)?.family;
    if (family !== undefined) this.#kill(family, 'it was revoked');
    return family !== undefined;
  }

  /** Makes an access token invalid before its time. @returns whether it was known */
  killAccessToken(accessToken: string): boolean {
    const token = this.#core.book.findAccess(accessToken);
    if (token !== undefined) token.dead ??= 'it was killed';
    return token !== undefined;
  }

  /** Every grant there ever was, oldest first. */
  families(): readonly FamilyView[] {
    return this.#core.book.families().map((family) => viewOf(this.#core.book, family, this.clock.now()));
  }

  /** Returns the family with this id, or null. */
  family(id: string): FamilyView | null {
    const family = this.#core.book.family(id);
    return family === undefined ? null : viewOf(this.#core.book, family, this.clock.now());
  }

  /** The family that a refresh token belongs to, spent ones included. */
  familyOf(refreshToken: string): FamilyView | null {
    const family = this.#core.book.findRefresh(refreshToken)?.family;
    return family === undefined ? null : viewOf(this.#core.book, family, this.clock.now());
  }

  /** The newest refresh token of a family that would be granted now; `null` when the grant is lost. */
  currentRefreshToken(familyId: string): string | null {
    const family = this.#core.book.family(familyId);
    return family === undefined ? null : (this.#core.book.currentOf(family, this.#core.clock.now())?.value ?? null);
  }

  /** Whether a refresh with this token would be granted now, throttles aside. */
  isAlive(refreshToken: string): boolean {
    return this.#core.book.isAlive(refreshToken, this.#core.clock.now());
  }

  /** Forgets grants, codes, faults, limits, changed switches and history; clients, users and the clock stay. */
  reset(): void {
    const core = this.#core;
    core.book.clear();
    core.windows.clear();
    core.faults.clear();
    core.zoho.clear();
    core.history.clear();
    for (const kept of [core.codes, core.devices, core.enhancements, core.consents]) kept.clear();
  }

  /** Ends the requests that hang. */
  close(): Promise<void> {
    this.#engine.stop();
    return Promise.resolve();
  }

  #userOf(consent: Consent) {
    const user = this.#core.registry.user(consent.user);
    if (user === undefined) throw new RangeError(`No user ${JSON.stringify(consent.user)} is registered.`);
    return user;
  }

  #kill(family: Family, reason: string): void {
    revokeFamily(family, reason);
    const { profile, dc, clientId, user, id } = family;
    this.#core.history.append({
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
 * Makes a simulator without sockets: requests are handed to {@link Simulator.fetch}, at the real hosts' addresses.
 *
 * Use it in deterministic tests, with a clock and dice of their own. {@link startSimulator} listens on ports instead.
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

/** Bytes in a buffer of their own, which is what a request takes; a stream as it is. */
function bodyOf(body: Uint8Array | ReadableStream<Uint8Array>): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  return body instanceof Uint8Array ? new Uint8Array(body) : body;
}
