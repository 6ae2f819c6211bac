import { z } from 'zod';

import type { Running, Stage } from './stage.ts';

const announcement = z.object({
  origins: z.record(z.string(), z.url()),
  definitions: z.record(z.string(), z.string()),
});

const history = z.object({
  events: z.array(
    z.object({
      sequence: z.number(),
      kind: z.string(),
      outcome: z.string(),
      dc: z.string().nullable(),
      grantType: z.string().optional(),
    }),
  ),
});

type Event = z.infer<typeof history>['events'][number];

/** The simulated Zoho in its own process: its record of requests, and its faults. */
export class SimulatedZoho {
  readonly process: Running;
  /** Files for `provider add`. */
  readonly definitions: Readonly<Record<string, string>>;
  readonly #origins: Readonly<Record<string, string>>;

  private constructor(running: Running, said: z.infer<typeof announcement>) {
    this.process = running;
    this.definitions = said.definitions;
    this.#origins = said.origins;
  }

  static async start(stage: Stage, dataCenters: readonly string[]): Promise<SimulatedZoho> {
    const wanted = dataCenters.flatMap((dc) => ['--dc', dc]);
    const definitions = ['--definitions', `${stage.folder}/providers`];
    const running = stage.start(['simulate', '--json', '--auto-approve', ...wanted, ...definitions]);
    const [line] = await running.written('stdout', /^\{.*\}$/m);
    return new SimulatedZoho(running, announcement.parse(JSON.parse(line)));
  }

  /** Returns the address of a data centre. */
  origin(dc: string): string {
    const origin = this.#origins[`zoho/${dc}`];
    if (origin === undefined) throw new RangeError(`no data centre ${dc} runs here`);
    return origin;
  }

  /** Registers a program at Zoho: it must use PKCE, and its code only goes to one redirect URI. */
  async register(clientId: string, secret: string, dc: string, redirectUri: string): Promise<void> {
    const redirectUris = [redirectUri];
    await this.#post('clients', { clientId, secret, dataCenters: [dc], redirectUris, requirePkce: true });
  }

  /** Returns a refresh token that another program obtained long ago. */
  async oldRefreshToken(clientId: string, user: string, scopes: readonly string[]): Promise<string> {
    const made = await this.#post('tokens', { clientId, user, scopes });
    return z.object({ refreshToken: z.string() }).parse(made).refreshToken;
  }

  /** Makes an access token invalid before it expires. */
  async kill(accessToken: string): Promise<boolean> {
    return z.object({ ok: z.boolean() }).parse(await this.#post('kill', { accessToken })).ok;
  }

  /** Delays the answer to the next refresh in a data centre; the refresh itself succeeds. */
  async delayNextRefresh(dc: string, ms: number): Promise<void> {
    const effect = { kind: 'delay', ms, when: 'after' };
    await this.#post('faults', { endpoint: 'token', dc, grantType: 'refresh_token', effect });
  }

  /** Returns a number for {@link since}: it selects everything that happens afterwards. */
  async now(): Promise<number> {
    return (await this.since(0)).at(-1)?.sequence ?? 0;
  }

  async since(sequence: number): Promise<readonly Event[]> {
    const response = await fetch(`${this.#control}/history?after=${sequence}`);
    return history.parse(await response.json()).events;
  }

  /** Describes later events in words: `token refresh_token issued`. */
  async wordsSince(sequence: number): Promise<readonly string[]> {
    const events = (await this.since(sequence)).filter(({ kind }) => kind !== 'control');
    return events.map(({ kind, grantType, outcome }) => [kind, grantType, outcome].filter(Boolean).join(' '));
  }

  /** Requests the organisation from the CRM with a token; `null` when the CRM refuses it. */
  async organization(dc: string, accessToken: string): Promise<string | null> {
    const headers = { authorization: `Zoho-oauthtoken ${accessToken}` };
    const response = await fetch(`${this.origin(dc)}/crm/v8/org`, { headers });
    const answer = z.object({ org: z.array(z.object({ company_name: z.string() })) }).safeParse(await response.json());
    return answer.success ? (answer.data.org[0]?.company_name ?? null) : null;
  }

  get #control(): string {
    return `${Object.values(this.#origins)[0]}/_sim`;
  }

  async #post(what: string, body: unknown): Promise<unknown> {
    const response = await fetch(`${this.#control}/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`the simulator refuses ${what}: ${JSON.stringify(answer)}`);
    return answer;
  }
}
