import { z } from 'zod';
import { environments, type KnownOrganization, organizationSchema } from './organizations.ts';
import { text } from './schema-parts.ts';

export const clientSchema = z.strictObject({
  clientId: text,
  /** Secret for every data centre. Leave it out for a public client, or when `secrets` has one per data centre. */
  secret: text.optional(),
  /** One secret per data centre; takes precedence over `secret`. */
  secrets: z.record(text, text).optional(),
  /** Data centres where the client is enabled; defaults to all. */
  dataCenters: z.array(text).readonly().optional(),
  /** Exact redirect URIs; `any` (the default) accepts every http or https URI. */
  redirectUris: z.union([z.literal('any'), z.array(text).readonly()]).optional(),
  /** `browser` clients have no secret; `self` clients exchange codes without a redirect URI. */
  type: z.enum(['server', 'self', 'device', 'browser']).optional(),
  /** Requires a PKCE challenge. */
  requirePkce: z.boolean().optional(),
});

export const userSchema = z.strictObject({
  id: text,
  /** Data centre of the account; defaults to `us`. */
  dc: text.optional(),
  name: text.optional(),
  orgId: text.optional(),
  orgName: text.optional(),
  /** The organisations of the user; one, of `orgId` and `orgName`, when left out. The first is the default. */
  organizations: z.array(organizationSchema).min(1).max(100).readonly().optional(),
  /** Zoho's id of the user. */
  zuid: text.optional(),
});

export const usersSchema = z.array(userSchema).min(1).max(10_000);

/**
 * An application that is registered at the simulated providers.
 *
 * @useDeclaredType
 */
export type SimulatorClient = Readonly<z.output<typeof clientSchema>>;
/**
 * A user who can consent.
 *
 * @useDeclaredType
 */
export type SimulatorUser = Readonly<z.output<typeof userSchema>>;

/** A user with every default filled in. */
export interface KnownUser {
  readonly id: string;
  readonly dc: string;
  readonly name: string;
  readonly orgId: string;
  readonly orgName: string;
  readonly zuid: string;
  readonly organizations: readonly KnownOrganization[];
}

/** Client that every simulator knows, so that no registration is needed. */
export const demoClient: SimulatorClient = {
  clientId: '1000.DEMOCLIENT0000000000000000000000',
  secret: 'demo-client-secret-for-the-simulator-only',
  redirectUris: 'any',
};

/** Clients and users, and the decisions of the user at the browser. */
export class Registry {
  readonly #clients = new Map<string, SimulatorClient>();
  readonly #users = new Map<string, KnownUser>();
  readonly #deactivated = new Set<string>();
  #signedIn: string | null = null;
  #organization: string | null = null;
  /** Gives consent without asking. */
  autoApprove = false;

  /** Registers a client, or replaces the one with the same id. */
  addClient(client: SimulatorClient): void {
    this.#clients.set(client.clientId, client);
  }

  /** Removes a client. @returns whether it existed */
  removeClient(clientId: string): boolean {
    return this.#clients.delete(clientId);
  }

  /** Returns a client. */
  client(clientId: string): SimulatorClient | undefined {
    return this.#clients.get(clientId);
  }

  /** Lists the clients. */
  clients(): readonly SimulatorClient[] {
    return [...this.#clients.values()];
  }

  /** Adds a user, or replaces the one with the same id. */
  addUser(user: SimulatorUser): KnownUser {
    const dc = user.dc ?? 'us';
    const count = this.#users.size + 1;
    const [first] = user.organizations ?? [];
    const orgId = user.orgId ?? first?.id ?? String(60_000_000_000 + count);
    const orgName = user.orgName ?? first?.name ?? `Example Company ${dc.toUpperCase()}`;
    const [production] = environments;
    const organizations = (user.organizations ?? [{ id: orgId, name: orgName }]).map((each) => ({
      id: each.id,
      name: each.name ?? `${orgName} ${each.id}`,
      environment: each.environment ?? production,
    }));
    const facts = { dc, orgId, orgName, organizations };
    const known: KnownUser = {
      id: user.id,
      name: user.name ?? user.id,
      zuid: user.zuid ?? String(50_000_000_000 + count),
      ...facts,
    };
    this.#users.set(known.id, known);
    return known;
  }

  /** Returns a user. */
  user(id: string): KnownUser | undefined {
    return this.#users.get(id);
  }

  /** Lists the users. */
  users(): readonly KnownUser[] {
    return [...this.#users.values()];
  }

  /** Takes a Zoho user out of the organisation, or back in. Meanwhile the user's tokens are refused; none of them dies. */
  setActive(id: string, active: boolean): void {
    if (active) this.#deactivated.delete(id);
    else this.#deactivated.add(id);
  }

  /** Tells whether a user is out of the organisation. */
  isDeactivated(id: string): boolean {
    return this.#deactivated.has(id);
  }

  /**
   * Chooses the user at the browser, and the organisation that this user picks at a consent; `null` means the first user of
   * each data centre, and the first organisation of each user.
   */
  signIn(id: string | null, organization: string | null = null): void {
    this.#signedIn = id;
    this.#organization = organization;
  }

  /** The organisation that the user at the browser picks at a consent; `null` for the first one. */
  get picked(): string | null {
    return this.#organization;
  }

  /** Returns the user at the browser: the hinted one, the one signed in, or the first of the data centre. */
  atBrowser(hint: string | null, dc: string | null): KnownUser | undefined {
    const named = this.#users.get(hint ?? this.#signedIn ?? '');
    if (named !== undefined) return named;
    const all = this.users();
    return all.find((user) => dc === null || user.dc === dc) ?? all[0];
  }
}

/** Returns a client's secret in a data centre; `null` for public clients. */
export function secretOf(client: SimulatorClient, dc: string | null): string | null {
  return (dc === null ? undefined : client.secrets?.[dc]) ?? client.secret ?? null;
}

/** Tells whether a client may be used in a data centre. */
export function isEnabledIn(client: SimulatorClient, dc: string): boolean {
  return client.dataCenters === undefined || client.dataCenters.includes(dc);
}

/** Tells whether a redirect URI is registered; the whole URI is compared, never a prefix. */
export function isRedirectUriOf(client: SimulatorClient, uri: string): boolean {
  if (client.redirectUris === undefined || client.redirectUris === 'any')
    return /^https?:\/\//i.test(uri) && URL.canParse(uri);
  return client.redirectUris.includes(uri);
}
