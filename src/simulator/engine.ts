import { systemWorld } from '../base/system-world.ts';
import { builtInProvider, builtInProviderIds } from '../providers/catalogue.ts';
import { applyAfter, applyBefore, nameOf, responseOf, type Sleep, unprocessed } from './fault-effects.ts';
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
import { type Core, newCore } from './state/state.ts';
import type { Dice } from './state/tokens.ts';
import { type ZohoChange, ZohoSettingsBook } from './state/zoho-settings.ts';

/** Every name that `profiles` takes. */
export const simulatorProfiles: readonly string[] = [
  'zoho',
  ...builtInProfiles,
  ...builtInProviderIds.filter((id) => !/^zoho(_|$)/.test(id)),
];

/** What a simulator is made of. Everything has a default. */
export interface SimulatorOptions {
  /**
   * `zoho`, names of built-in profiles, ids of built-in providers such as `xero`, or profiles of one's own; `['zoho']`
   * when left out.
   */
  readonly profiles?: readonly (string | OAuthProfile)[] | undefined;
  /** Zoho's data centres to run, unknown ones among them if need be; all eleven when left out. */
  readonly dataCenters?: readonly (string | NewDataCenter)[] | undefined;
  /** Registered applications besides the demo client. */
  readonly clients?: readonly SimulatorClient[] | undefined;
  /** People who can consent; one per data centre when left out. */
  readonly users?: readonly SimulatorUser[] | undefined;
  /** Consents without asking. */
  readonly autoApprove?: boolean | undefined;
  /** Switches of the simulated Zoho. */
  readonly zoho?: ZohoChange | undefined;
  /** How many events are kept; 100,000 when left out. */
  readonly historyCap?: number | undefined;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
  readonly random?: Dice | undefined;
  /** How slow answers wait. */
  readonly sleep?: Sleep | undefined;
}

/** The state and the pure request handler. @see createSimulator */
export interface Engine {
  readonly core: Core;
  fetch(request: Request): Promise<Response>;
  /** Ends every request that hangs or waits. */
  stop(): void;
}

/** Builds the state and the handler over it; no socket is opened. */
export function newEngine(options: SimulatorOptions): Engine {
  const world = systemWorld();
  const sleep = options.sleep ?? ((ms, signal) => world.sleep(ms, signal));
  const core = newCore({
    clock: new SimulatorClock(options.now ?? (() => world.now())),
    dice: options.random ?? ((count) => world.randomBytes(count)),
    sites: sitesFor(options),
    registry: registryFor(options),
    history: new History(options.historyCap ?? 100_000),
    faults: new Faults(),
    zoho: new ZohoSettingsBook(options.zoho ?? {}),
    autoApprove: options.autoApprove ?? false,
  });
  const stopped = new AbortController();
  // A request that is garbage-collected no longer passes its caller's abort on, and a hanging one has no other reference.
  const underWay = new Set<Request>();
  return {
    core,
    fetch: async (request) => {
      underWay.add(request);
      try {
        return await answer(core, request, sleep, stopped.signal);
      } finally {
        underWay.delete(request);
      }
    },
    stop: () => stopped.abort(new ConnectionResetError(false)),
  };
}

/**
 * One request: read it, let faults strike, let the server act in one synchronous step, let faults strike again, and
 * write down what happened.
 */
async function answer(core: Core, request: Request, sleep: Sleep, stopped: AbortSignal): Promise<Response> {
  const url = new URL(request.url);
  const site = core.sites.byHost(url.host);
  if (site === undefined) return new Response(`The simulator knows no server at ${url.host}.\n`, { status: 421 });
  const route = routeOf(site, url);
  const incoming = await readRequest(request, url, site, route.endpoint);
  const effect = core.faults.take(incoming, core.clock.now());
  if (effect === null) return responseOf(processed(core, incoming, route.handle(core, incoming)));
  const signal = AbortSignal.any([request.signal, stopped]);
  const fault = nameOf(effect);
  if (effect.kind === 'reset' && effect.when === 'before') return broken(core, incoming, fault);
  if (effect.kind === 'hang' && effect.when === 'before') {
    record(core, incoming, unprocessed(incoming), fault);
    return hang(signal);
  }
  const instead = await applyBefore(effect, incoming, core.zoho.for(site.dc, incoming.clientId), sleep, signal);
  if (instead !== null) {
    record(core, incoming, { ...instead.event, status: instead.status }, fault);
    return responseOf(instead);
  }
  const made = processed(core, incoming, route.handle(core, incoming), fault);
  if (effect.kind === 'reset') throw new ConnectionResetError(true);
  if (effect.kind === 'hang') return hang(signal);
  return applyAfter(effect, made, sleep, signal);
}

function processed(
  core: Core,
  incoming: Incoming,
  made: ReturnType<ReturnType<typeof routeOf>['handle']>,
  fault?: string,
) {
  record(core, incoming, { ...made.event, status: made.status }, fault);
  return made;
}

function broken(core: Core, incoming: Incoming, fault: string): never {
  record(core, incoming, unprocessed(incoming), fault);
  throw new ConnectionResetError(false);
}

function record(
  core: Core,
  incoming: Incoming,
  event: Omit<HistoryEvent, 'sequence' | 'at' | 'profile' | 'dc'>,
  fault: string | undefined,
): void {
  core.history.append({ at: core.clock.now(), profile: incoming.site.profile, dc: incoming.site.dc, ...event, fault });
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
  registry.putClient(demoClient);
  for (const client of options.clients ?? []) registry.putClient(client);
  const zoho = (options.profiles ?? ['zoho']).includes('zoho');
  const centers = options.dataCenters ?? (zoho ? Object.keys(zohoDataCenters) : ['us']);
  const everybody = centers
    .map((center) => (typeof center === 'string' ? center : center.dc))
    .map((dc) => ({ id: `user@${dc}.example`, dc }));
  for (const user of options.users ?? everybody) registry.putUser(user);
  return registry;
}
