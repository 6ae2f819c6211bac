/** An application that is registered at the simulated providers. */
export interface SimulatorClient {
  readonly clientId: string;
  /** Valid in every data centre. Left out for a public client, or where `secrets` has one per data centre. */
  readonly secret?: string | undefined;
  /** One secret per data centre; wins over `secret`. */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  /** The data centres it is enabled in; all when left out. */
  readonly dataCenters?: readonly string[] | undefined;
  /** Exact redirect URIs; `any` (the default) takes every http or https URI, for trying things out. */
  readonly redirectUris?: readonly string[] | 'any' | undefined;
  /** `browser` clients have no secret; `self` clients exchange codes without a redirect URI. */
  readonly type?: 'server' | 'self' | 'device' | 'browser' | undefined;
  /** Must send a PKCE challenge. */
  readonly requirePkce?: boolean | undefined;
}

/** A person who can consent. */
export interface SimulatorUser {
  readonly id: string;
  /** The data centre of the account; where the provider has several, the first of them when left out. */
  readonly dc?: string | undefined;
  readonly name?: string | undefined;
  readonly orgId?: string | undefined;
  readonly orgName?: string | undefined;
}

/** A user with every default filled in. */
export interface KnownUser {
  readonly id: string;
  readonly dc: string;
  readonly name: string;
  readonly orgId: string;
  readonly orgName: string;
}

/** The client that every simulator knows from the start: no registration is needed to try something. */
export const demoClient: SimulatorClient = {
  clientId: '1000.DEMOCLIENT0000000000000000000000',
  secret: 'demo-client-secret-for-the-simulator-only',
  redirectUris: 'any',
};

/** Clients and users. */
export class Registry {
  readonly #clients = new Map<string, SimulatorClient>();
  readonly #users = new Map<string, KnownUser>();
  readonly #deactivated = new Set<string>();
  #signedIn: string | null = null;
  /** Gives consent without asking. */
  autoApprove = false;

  addClient(client: SimulatorClient): void {
    this.#clients.set(client.clientId, client);
  }

  removeClient(clientId: string): boolean {
    return this.#clients.delete(clientId);
  }

  client(clientId: string): SimulatorClient | undefined {
    return this.#clients.get(clientId);
  }

  clients(): readonly SimulatorClient[] {
    return [...this.#clients.values()];
  }

  addUser(user: SimulatorUser): KnownUser {
    const dc = user.dc ?? 'us';
    const known: KnownUser = {
      id: user.id,
      dc,
      name: user.name ?? user.id,
      orgId: user.orgId ?? String(60_000_000_000 + this.#users.size + 1),
      orgName: user.orgName ?? `Example Company ${dc.toUpperCase()}`,
    };
    this.#users.set(known.id, known);
    return known;
  }

  user(id: string): KnownUser | undefined {
    return this.#users.get(id);
  }

  users(): readonly KnownUser[] {
    return [...this.#users.values()];
  }

  setActive(id: string, active: boolean): void {
    if (active) this.#deactivated.delete(id);
    else this.#deactivated.add(id);
  }

  isDeactivated(id: string): boolean {
    return this.#deactivated.has(id);
  }

  /** Makes this user the one whose browser it is; `null` lets each data centre answer for its own first user. */
  signIn(id: string | null): void {
    this.#signedIn = id;
  }

  /** Who sits at the browser: the hinted user, the one signed in, or the first of the data centre. */
  atBrowser(hint: string | null, dc: string | null): KnownUser | undefined {
    const named = this.#users.get(hint ?? this.#signedIn ?? '');
    if (named !== undefined) return named;
    const all = this.users();
    return all.find((user) => dc === null || user.dc === dc) ?? all[0];
  }
}

/** The secret that a client has in a data centre; `null` for public clients. */
export function secretOf(client: SimulatorClient, dc: string | null): string | null {
  return (dc === null ? undefined : client.secrets?.[dc]) ?? client.secret ?? null;
}

/** Whether a client may be used in a data centre. */
export function isEnabledIn(client: SimulatorClient, dc: string): boolean {
  return client.dataCenters === undefined || client.dataCenters.includes(dc);
}

/** Whether a redirect URI is registered: compared as a whole, never by prefix. */
export function isRedirectUriOf(client: SimulatorClient, uri: string): boolean {
  if (client.redirectUris === undefined || client.redirectUris === 'any')
    return /^https?:\/\//i.test(uri) && URL.canParse(uri);
  return client.redirectUris.includes(uri);
}
