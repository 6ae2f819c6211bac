import {
  deathOf,
  type Family,
  type IssuedAccessToken,
  type IssuedRefreshToken,
  type Mint,
  newAccess,
  newRefresh,
  prune,
  revokeFamily,
  type TokenPair,
} from './families.ts';

/** Facts of a new family. */
export type NewFamily = Readonly<Pick<Family, 'profile' | 'dc' | 'clientId' | 'user' | 'scopes'>> &
  Readonly<Partial<Pick<Family, 'organization'>>>;

/** Owner of refresh tokens that are counted together: a user at one client, or at all clients. */
export interface TokenOwner {
  readonly profile: string;
  readonly user: string;
  readonly clientId?: string | undefined;
}

/** All families and tokens of the simulated providers. */
export class Ledger {
  readonly #families = new Map<string, Family>();
  readonly #refresh = new Map<string, IssuedRefreshToken>();
  readonly #access = new Map<string, IssuedAccessToken>();
  readonly #byOwner = new Map<string, Family[]>();
  readonly #mintOf: (family: Family) => Mint;
  #count = 0;

  constructor(mintOf: (family: Family) => Mint) {
    this.#mintOf = mintOf;
  }

  mintOf(family: Family): Mint {
    return this.#mintOf(family);
  }

  /** Creates a family without tokens. */
  open(parts: NewFamily, now: number): Family {
    this.#count += 1;
    const family: Family = {
      organization: null,
      ...parts,
      id: `family-${this.#count}`,
      createdAt: now,
      lastUsedAt: now,
      revoked: null,
      refreshTokens: [],
      accessTokens: [],
    };
    this.#families.set(family.id, family);
    const owner = ownerKey(parts);
    const siblings = this.#byOwner.get(owner);
    if (siblings === undefined) this.#byOwner.set(owner, [family]);
    else siblings.push(family);
    return family;
  }

  /** Issues the first tokens of a family: a pair, or only an access token. */
  firstTokens(family: Family, now: number, withRefresh: boolean): TokenPair {
    const mint = this.#mintOf(family);
    const refreshToken = withRefresh ? newRefresh(family, null, mint, now) : null;
    const accessToken = refreshToken === null ? this.loneAccess(family, now) : newAccess(refreshToken, mint, now);
    const pair = { accessToken, refreshToken };
    this.remember(pair);
    return pair;
  }

  /** Issues an access token without a refresh token. */
  loneAccess(family: Family, now: number): IssuedAccessToken {
    const mint = this.#mintOf(family);
    const token: IssuedAccessToken = {
      value: mint.accessValue(),
      family,
      refreshToken: null,
      scopes: family.scopes,
      issuedAt: now,
      expiresAt: now + mint.accessTokenSeconds * 1000,
      dead: null,
    };
    family.accessTokens.push(token);
    this.#access.set(token.value, token);
    return token;
  }

  /** Indexes a pair, and forgets the expired tokens of its family. */
  remember(pair: TokenPair): void {
    this.#access.set(pair.accessToken.value, pair.accessToken);
    if (pair.refreshToken !== null) this.#refresh.set(pair.refreshToken.value, pair.refreshToken);
    const gone = prune(pair.accessToken.family, pair.accessToken.issuedAt);
    for (const value of gone.access) this.#access.delete(value);
    for (const value of gone.refresh) this.#refresh.delete(value);
  }

  findRefresh(value: string): IssuedRefreshToken | undefined {
    return this.#refresh.get(value);
  }

  findAccess(value: string): IssuedAccessToken | undefined {
    return this.#access.get(value);
  }

  family(id: string): Family | undefined {
    return this.#families.get(id);
  }

  families(): readonly Family[] {
    return [...this.#families.values()];
  }

  /** Returns an owner's families with a living refresh token, oldest first. */
  livingOf(owner: TokenOwner, now: number): readonly Family[] {
    const { profile, clientId, user } = owner;
    const all =
      clientId === undefined
        ? this.families().filter((family) => family.profile === profile && family.user === user)
        : (this.#byOwner.get(ownerKey({ profile, clientId, user })) ?? []);
    return all.filter((family) => this.currentOf(family, now) !== null);
  }

  /** Returns the newest refresh token of a family that would be accepted now; `null` when the family is lost. */
  currentOf(family: Family, now: number): IssuedRefreshToken | null {
    if (family.revoked !== null) return null;
    const mint = this.#mintOf(family);
    return family.refreshTokens.findLast((token) => deathOf(token, mint, now) === null) ?? null;
  }

  /** Tells whether this refresh token would be accepted now, apart from throttles. */
  isAlive(value: string, now: number): boolean {
    const token = this.#refresh.get(value);
    return token !== undefined && deathOf(token, this.#mintOf(token.family), now) === null;
  }

  /** Revokes the oldest families of an owner until there is room for one more. */
  makeRoom(owner: TokenOwner, cap: number, now: number): void {
    const living = this.livingOf(owner, now);
    for (const family of living.slice(0, Math.max(0, living.length - cap + 1)))
      revokeFamily(family, 'too many refresh tokens of this user and client');
  }

  clear(): void {
    this.#families.clear();
    this.#refresh.clear();
    this.#access.clear();
    this.#byOwner.clear();
  }
}

function ownerKey(parts: Pick<NewFamily, 'profile' | 'clientId' | 'user'>): string {
  return JSON.stringify([parts.profile, parts.clientId, parts.user]);
}
