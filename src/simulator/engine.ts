import { systemWorld } from '../base/system-world.ts';
import { builtInProvider, builtInProviderIds } from '../providers/catalogue.ts';
import { applyAfter, applyBefore, nameOf, responseOf, type Sleep, unprocessed } from './fault-effects.ts';
import type { SimulatorAnswer } from './http/answer.ts';
import { ConnectionResetError } from './http/errors.ts';
import { twinOf } from './oauth/twin.ts';
import { routeOf } from './routes.ts';
import { SimulatorClock } from './state/clock.ts';
import { type NewDataCenter, zohoDataCenters } from './state/data-centers.ts';
import { Faults } from './state/faults.ts';
import { History, type HistoryEvent } from './state/history.ts';
import { builtInProfile, builtInProfiles, isBuiltInProfile, type OAuthProfile } from './state/profiles.ts';
import { demoClient, Registry, type SimulatorClient, type SimulatorUser } from './state/registry.ts';
import { type Incoming, readRequest } from './state/request.ts';
import { oauthSite, type Site, Sites, zohoSite } from './state/sites.ts';
import { newState, type SimulatorState } from './state/state.ts';
import type { RandomSource } from './state/tokens.ts';
import { type ZohoChange, ZohoSettingsScopes } from './state/zoho-settings.ts';

/** All names that `profiles` accepts. */
export const simulatorProfiles: readonly string[] = [
  'zoho',
  ...builtInProfiles,
  ...builtInProviderIds.filter((id) => !/^zoho(_|$)/.test(id)),
];

/** Options of a simulator; all are optional. */
export interface SimulatorOptions {
  /**
   * Servers to run: `zoho`, names of built-in profiles, ids of built-in providers such as `xero`, or your own profiles;
   * defaults to `['zoho']`.
   */
  readonly profiles?: readonly (string | OAuthProfile)[] | undefined;
  /** Zoho's data centres to run, invented ones included; defaults to all eleven. */
  readonly dataCenters?: readonly (string | NewDataCenter)[] | undefined;
  /** Registered applications besides the demo client. */
  readonly clients?: readonly SimulatorClient[] | undefined;
  /** Users who can consent; defaults to one per data centre. */
  readonly users?: readonly SimulatorUser[] | undefined;
  /** Gives consent without asking. */
  readonly autoApprove?: boolean | undefined;
  /** Switches of the simulated Zoho. */
  readonly zoho?: ZohoChange | undefined;
  /** Number of events to keep; defaults to 100,000. */
  readonly historyCap?: number | undefined;
  /** Returns milliseconds since 1970; defaults to the system clock. */
  readonly now?: (() => number) | undefined;
  readonly random?: RandomSource | undefined;
  /** Waits for a slow answer. */
  readonly sleep?: Sleep | undefined;
}

/** State and request handler of a simulator. @see createSimulator */
export interface SimulatorEngine {
  readonly state: SimulatorState;
  fetch(request: Request): Promise<Response>;
  /** Ends every request that hangs or waits. */
  stop(): void;
}

/** Creates the state and its request handler; opens no socket. */
export function newEngine(options: SimulatorOptions): SimulatorEngine {
  const world = systemWorld();
  const sleep = options.sleep ?? ((ms, signal) => world.sleep(ms, signal));
  const clock = new SimulatorClock(options.now ?? (() => world.now()));
  const state = newState({
    clock,
    random: options.random ?? ((count) => world.randomBytes(count)),
    sites: sitesFor(options),
    registry: registryFor(options),
    history: new History(options.historyCap ?? 100_000),
    faults: new Faults(clock),
    zoho: new ZohoSettingsScopes(options.zoho ?? {}),
  });
  const stopped = new AbortController();
  // A request that is garbage-collected no longer passes its caller's abort on, and a hanging one has no other reference.
  const underWay = new Set<Request>();
  return {
    state,
    fetch: async (request) => {
      underWay.add(request);
      try {
        return await answer(state, request, sleep, stopped.signal);
      } finally {
        underWay.delete(request);
      }
    },
    stop: () => stopped.abort(new ConnectionResetError(false)),
  };
}

/** Handles one request. A fault may strike before and after the server's one synchronous step. Both are recorded. */
async function answer(state: SimulatorState, request: Request, sleep: Sleep, stopped: AbortSignal): Promise<Response> {
  const url = new URL(request.url);
  const site = state.sites.byHost(url.host);
  if (site === undefined) return new Response(`The simulator knows no server at ${url.host}.\n`, { status: 421 });
  const route = routeOf(site, url);
  const incoming = await readRequest(request, url, site, route.endpoint);
  const effect = state.faults.take(incoming);
  if (effect === null) return responseOf(processed(state, incoming, route.handle(state, incoming)));
  const signal = AbortSignal.any([request.signal, stopped]);
  const fault = nameOf(effect);
  if (effect.kind === 'reset' && effect.when === 'before') return broken(state, incoming, fault);
  if (effect.kind === 'hang' && effect.when === 'before') {
    record(state, incoming, unprocessed(incoming), fault);
    return hang(signal);
  }
  const instead = await applyBefore(effect, incoming, state.zoho.for(site.dc, incoming.clientId), sleep, signal);
  if (instead !== null) {
    record(state, incoming, { ...instead.event, status: instead.status }, fault);
    return responseOf(instead);
  }
  const made = processed(state, incoming, route.handle(state, incoming), fault);
  if (effect.kind === 'reset') throw new ConnectionResetError(true);
  if (effect.kind === 'hang') return hang(signal);
  return applyAfter(effect, made, sleep, signal);
}

function processed(state: SimulatorState, incoming: Incoming, made: SimulatorAnswer, fault?: string) {
  record(state, incoming, { ...made.event, status: made.status }, fault);
  return made;
}

function broken(state: SimulatorState, incoming: Incoming, fault: string): never {
  record(state, incoming, unprocessed(incoming), fault);
  throw new ConnectionResetError(false);
}

function record(
  state: SimulatorState,
  incoming: Incoming,
  event: Omit<HistoryEvent, 'sequence' | 'at' | 'profile' | 'dc'>,
  fault: string | undefined,
): void {
  const { profile, dc } = incoming.site;
  state.history.append({ at: state.clock.now(), profile, dc, ...event, fault });
}

/** Never answers; ends when the caller gives up or the simulator is closed. */
function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function sitesFor(options: SimulatorOptions): Sites {
  const sites = new Sites();
  for (const site of (options.profiles ?? ['zoho']).flatMap((profile) => sitesOf(profile, options))) sites.add(site);
  return sites;
}

function sitesOf(profile: string | OAuthProfile, options: SimulatorOptions): Site[] {
  if (typeof profile === 'object') return [oauthSite(profile)];
  if (profile === 'zoho') return (options.dataCenters ?? Object.keys(zohoDataCenters)).map(zohoSite);
  if (isBuiltInProfile(profile)) return [oauthSite(builtInProfile(profile))];
  const known = builtInProvider(profile);
  if (known !== null && known.callback === undefined) return [oauthSite(twinOf(known))];
  throw new RangeError(
    `Unknown simulator profile ${JSON.stringify(profile)}: known are ${simulatorProfiles.join(', ')}.`,
  );
}

function registryFor(options: SimulatorOptions): Registry {
  const registry = new Registry();
  registry.autoApprove = options.autoApprove ?? false;
  registry.addClient(demoClient);
  for (const client of options.clients ?? []) registry.addClient(client);
  const zoho = (options.profiles ?? ['zoho']).includes('zoho');
  const centers = options.dataCenters ?? (zoho ? Object.keys(zohoDataCenters) : ['us']);
  const defaultUsers = centers
    .map((center) => (typeof center === 'string' ? center : center.dc))
    .map((dc) => ({ id: `user@${dc}.example`, dc }));
  for (const user of options.users ?? defaultUsers) registry.addUser(user);
  return registry;
}
