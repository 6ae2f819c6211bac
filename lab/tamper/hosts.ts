import type { World } from '../../src/base/world.ts';
import type { Simulator } from '../../src/simulator/index.ts';
import { requestOf } from '../../test/support/world.ts';

/** A secret of the run: who may have it. */
export interface Canary {
  readonly kind: 'refresh token' | 'access token' | 'client secret' | 'code';
  /** Null for a client secret. */
  readonly tenant: string | null;
  /** The origin of the provider that issued it. */
  readonly origin: string;
}

/** Every host that the vault can reach: the simulated providers, and one that takes every request, at any other name. */
export class Hosts {
  readonly violations = new Set<string>();
  requests = 0;
  foreignRequests = 0;
  /** The tenants that a caller acts for, by the name with which it signs its calls of APIs. */
  readonly callers = new Map<string, ReadonlySet<string>>();
  readonly #simulator: Simulator;
  readonly #canaries = new Map<string, Canary>();

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
  }

  /** Tells the judge of a secret. */
  own(secret: string, canary: Canary): void {
    this.#canaries.set(secret, canary);
  }

  /** The canaries in a text, and in the Basic credentials of an Authorization header in it. */
  found(text: string): Canary[] {
    const basic = [...text.matchAll(/Basic ([A-Za-z0-9+/=]+)/g)].map(([, encoded = '']) =>
      decodeURIComponent(
        Buffer.from(encoded, 'base64')
          .toString()
          .replaceAll(/%(?![0-9a-f]{2})/gi, '%25'),
      ),
    );
    const all = [text, ...basic].join('\n');
    return [...this.#canaries].filter(([secret]) => all.includes(secret)).map(([, canary]) => canary);
  }

  /** The network of a world. */
  readonly fetch: World['fetch'] = async (url, init) => {
    init.beforeSend?.();
    const request = requestOf(url, init);
    const text = [request.method, request.url, ...[...request.headers].flat(), await request.clone().text()].join('\n');
    this.#judge(new URL(url), text);
    const response = await this.#answer(request);
    if (response.headers.get('content-type')?.includes('json') === true)
      this.#learn(text, await response.clone().text());
    return response;
  };

  #judge({ origin, searchParams }: URL, text: string): void {
    this.requests += 1;
    const caller = searchParams.get('by');
    const acts = caller === null ? undefined : this.callers.get(caller);
    for (const { kind, tenant, origin: home } of this.found(text)) {
      if (origin !== home) this.violations.add(`a ${kind} of ${tenant ?? 'an app'} at ${home} was sent to ${origin}`);
      if (tenant !== null && acts?.has(tenant) === false) {
        this.violations.add(`the key ${caller ?? ''} called an API with a ${kind} of ${tenant}`);
      }
    }
  }

  async #answer(request: Request): Promise<Response> {
    if (Object.values(this.#simulator.origins()).includes(new URL(request.url).origin))
      return this.#simulator.fetch(request);
    this.foreignRequests += 1;
    return Response.json({ access_token: 'taken', refresh_token: 'taken', token_type: 'Bearer', expires_in: 3_600 });
  }

  /** The tokens of an answer belong to the tenant whose token or code was sent. */
  #learn(sent: string, answered: string): void {
    const of = this.found(sent).find(({ kind }) => kind === 'refresh token' || kind === 'code');
    if (of === undefined) return;
    const json: unknown = JSON.parse(answered);
    for (const [member, kind] of [
      ['access_token', 'access token'],
      ['refresh_token', 'refresh token'],
    ] as const) {
      const token: unknown = typeof json === 'object' && json !== null ? Reflect.get(json, member) : undefined;
      if (typeof token === 'string') this.own(token, { ...of, kind });
    }
  }
}
