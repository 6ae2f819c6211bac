import type { RotationClass } from '../../providers/definition.ts';

/** Effect of a refresh on the spent refresh token. */
export interface RotationRule {
  readonly kind: RotationClass;
  /** Seconds for which a spent token still works under `timed_overlap`. */
  readonly overlapSeconds: number;
  /**
   * Result of a permitted replay: the same pair again, one more successor, or a successor that replaces all earlier
   * ones.
   */
  readonly replay: 'same' | 'new' | 'newest_only';
  /** Effect of a forbidden replay. */
  readonly reuse: 'error' | 'revokes_family';
  /** Ends the access token of the spent pair too. */
  readonly oldAccessTokenDies: boolean;
}

export const noRotation: RotationRule = {
  kind: 'none',
  overlapSeconds: 0,
  replay: 'new',
  reuse: 'error',
  oldAccessTokenDies: false,
};

/** All tokens that derive from one consent. */
export interface Family {
  readonly id: string;
  readonly profile: string;
  readonly dc: string | null;
  readonly clientId: string;
  readonly user: string;
  /** The organisation that was picked at the consent; `null` for the user's first one. */
  readonly organization: string | null;
  readonly createdAt: number;
  scopes: readonly string[];
  lastUsedAt: number;
  revoked: string | null;
  /** Refresh tokens, oldest first. */
  refreshTokens: IssuedRefreshToken[];
  /** Access tokens that had not expired at the last check, oldest first. */
  accessTokens: IssuedAccessToken[];
}

export interface IssuedRefreshToken {
  readonly value: string;
  readonly family: Family;
  readonly parent: IssuedRefreshToken | null;
  readonly issuedAt: number;
  spentAt: number | null;
  /** Reason why the token no longer works; `null` while it may work. */
  dead: string | null;
  successors: TokenPair[];
}

export interface IssuedAccessToken {
  readonly value: string;
  readonly family: Family;
  /** The refresh token issued with it; without rotation, the refresh token that created it. */
  readonly refreshToken: IssuedRefreshToken | null;
  readonly scopes: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  dead: string | null;
}

export interface TokenPair {
  readonly accessToken: IssuedAccessToken;
  readonly refreshToken: IssuedRefreshToken | null;
}

export type Spend =
  | { readonly kind: 'pair'; readonly pair: TokenPair; readonly rotated: boolean; readonly replay: boolean }
  | { readonly kind: 'refused'; readonly reason: string; readonly replay: boolean };

/** Creates token values and sets their lifetimes, per server. */
export interface Mint {
  accessValue(): string;
  refreshValue(): string;
  readonly accessTokenSeconds: number;
  readonly rule: RotationRule;
  readonly idleSeconds: number | null;
  readonly absoluteSeconds: number | null;
  /** Number of living access tokens per refresh token; the oldest dies. */
  readonly activeAccessTokensMax: number | null;
}

/** Number of old spent tokens to remember per family, so that a replay differs from an unknown value. */
const spentKeptPerFamily = 2_000;

const replacedByNewer = 'a newer successor replaced it';

/** Spends a refresh token by the server's rule. Only this function decides the fate of the family and the token. */
export function spend(token: IssuedRefreshToken, mint: Mint, now: number, scopes?: readonly string[]): Spend {
  const replay = token.spentAt !== null;
  const death = deathOf(token, mint, now);
  if (death !== null) {
    // RFC 9700 section 4.14.2: presenting an invalidated token ends the whole family.
    const reuse = replay || token.dead === replacedByNewer;
    if (reuse && mint.rule.kind !== 'none' && mint.rule.reuse === 'revokes_family') {
      revokeFamily(token.family, 'refresh token was used again');
    }
    return { kind: 'refused', reason: death, replay };
  }
  const { family } = token;
  family.lastUsedAt = now;
  if (mint.rule.kind === 'none') {
    return {
      kind: 'pair',
      pair: { accessToken: newAccess(token, mint, now, scopes), refreshToken: null },
      rotated: false,
      replay: false,
    };
  }
  if (!replay) retireParent(token, mint.rule);
  const last = token.successors.at(-1);
  if (replay && mint.rule.replay === 'same' && last) return { kind: 'pair', pair: last, rotated: true, replay };
  if (replay && mint.rule.replay === 'newest_only')
    for (const pair of token.successors) killTree(pair, replacedByNewer);
  if (mint.rule.oldAccessTokenDies) killAccessOf(token, 'its pair was refreshed');
  token.spentAt ??= now;
  if (mint.rule.kind === 'strict') token.dead = 'it was used before';
  const successor = newRefresh(family, token, mint, now);
  const pair: TokenPair = { accessToken: newAccess(successor, mint, now, scopes), refreshToken: successor };
  token.successors.push(pair);
  return { kind: 'pair', pair, rotated: true, replay };
}

/** Returns the reason why a refresh with this token would fail now; `null` if it would succeed. */
export function deathOf(token: IssuedRefreshToken, mint: Mint, now: number): string | null {
  const { family } = token;
  if (family.revoked !== null) return family.revoked;
  if (token.dead !== null) return token.dead;
  const { rule } = mint;
  if (rule.kind === 'timed_overlap' && token.spentAt !== null && now >= token.spentAt + rule.overlapSeconds * 1000) {
    return 'its overlap is over';
  }
  if (mint.idleSeconds !== null && now - family.lastUsedAt > mint.idleSeconds * 1000)
    return 'it was not used for too long';
  if (mint.absoluteSeconds !== null && now - family.createdAt > mint.absoluteSeconds * 1000)
    return 'it reached its last day';
  return null;
}

/**
 * Returns the reason why an API call with this token would fail now; `null` if it is valid. Marks the first use of its
 * pair.
 */
export function useAccess(token: IssuedAccessToken, mint: Mint, now: number): string | null {
  if (token.family.revoked !== null) return token.family.revoked;
  if (token.dead !== null) return token.dead;
  if (now >= token.expiresAt) return 'it expired';
  if (token.refreshToken !== null) retireParent(token.refreshToken, mint.rule);
  return null;
}

export function revokeFamily(family: Family, reason: string): void {
  family.revoked ??= reason;
  for (const token of family.accessTokens) token.dead ??= reason;
}

/** Creates the next refresh token of a family; `parent` is the one it replaces, `null` for the first. */
export function newRefresh(
  family: Family,
  parent: IssuedRefreshToken | null,
  mint: Mint,
  now: number,
): IssuedRefreshToken {
  const token: IssuedRefreshToken = {
    value: mint.refreshValue(),
    family,
    parent,
    issuedAt: now,
    spentAt: null,
    dead: null,
    successors: [],
  };
  family.refreshTokens.push(token);
  return token;
}

/** Creates an access token for a refresh token, and ends the oldest one above the server's limit. */
export function newAccess(
  of: IssuedRefreshToken,
  mint: Mint,
  now: number,
  scopes?: readonly string[],
): IssuedAccessToken {
  const token: IssuedAccessToken = {
    value: mint.accessValue(),
    family: of.family,
    refreshToken: of,
    scopes: scopes ?? of.family.scopes,
    issuedAt: now,
    expiresAt: now + mint.accessTokenSeconds * 1000,
    dead: null,
  };
  of.family.accessTokens.push(token);
  const cap = mint.activeAccessTokensMax;
  if (cap !== null && of.family.accessTokens.length > cap) {
    const alive = of.family.accessTokens.filter((each) => each.dead === null && each.expiresAt > now);
    for (const oldest of alive.slice(0, Math.max(0, alive.length - cap)))
      oldest.dead = 'too many access tokens were alive';
  }
  return token;
}

/** Removes tokens that no longer affect any answer. @returns their values */
export function prune(family: Family, now: number): { access: string[]; refresh: string[] } {
  const access: string[] = [];
  // Tokens of a family expire in the order of their creation, unless the settings changed in between.
  if ((family.accessTokens[0]?.expiresAt ?? Number.POSITIVE_INFINITY) <= now) {
    family.accessTokens = family.accessTokens.filter((token) => {
      if (token.expiresAt > now) return true;
      access.push(token.value);
      return false;
    });
  }
  if (family.refreshTokens.length < spentKeptPerFamily * 2) return { access, refresh: [] };
  const removed = family.refreshTokens.splice(0, spentKeptPerFamily);
  for (const token of removed) token.successors = [];
  return { access, refresh: removed.map((token) => token.value) };
}

/** Ends the previous token after the first use of its successor, if the rule says so. */
function retireParent(token: IssuedRefreshToken, rule: RotationRule): void {
  if (rule.kind === 'retire_on_use' && token.parent !== null) token.parent.dead ??= 'its successor was used';
}

function killAccessOf(token: IssuedRefreshToken, reason: string): void {
  for (const access of token.family.accessTokens) if (access.refreshToken === token) access.dead ??= reason;
}

/** Kills a pair and every pair that derives from it. */
function killTree(pair: TokenPair, reason: string): void {
  const open = [pair];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    next.accessToken.dead ??= reason;
    if (next.refreshToken === null) continue;
    next.refreshToken.dead ??= reason;
    open.push(...next.refreshToken.successors);
  }
}
