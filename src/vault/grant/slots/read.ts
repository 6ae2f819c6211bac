import { GrantryError } from '../../../base/errors.ts';
import { checkName } from '../../../base/ids.ts';
import { limits } from '../../../base/limits.ts';
import { dcNamedIn } from '../../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../../providers/definition.ts';
import type { Slots } from '../../../schemas/slots.ts';
import { type AppRow, findApp } from '../../../storage/statements/apps.ts';
import {
  appsOfClient,
  type Registration,
  type LivingToken as StoredToken,
  tokensOfGrants,
  tokensWithoutGrant,
} from '../../../storage/statements/slots/living.ts';
import type { VaultContext } from '../../context.ts';

/** A refresh token that takes a place, with the name of its data centre. */
interface LivingToken extends Omit<StoredToken, 'dc' | 'api_domain'> {
  readonly dc: string | null;
}

/** The share of a provider's limit from which on an operator is warned: 15 of Zoho's 20. */
const warnedShare = 0.75;

/**
 * Counts the refresh tokens of an app's client registration per user of the provider, the fullest first. Empty where the
 * provider states no limit.
 *
 * @throws {GrantryError} `not_found`
 */
export async function slotsOfApp(context: VaultContext, name: string): Promise<readonly Slots[]> {
  const app = await findApp(context.store.db, checkName('app', name));
  if (app === undefined) throw new GrantryError('not_found', `There is no app ${name}.`);
  const counter = await slotCounter(context, app);
  return counter === null ? [] : counter.all();
}

/** Counts the tokens of a registration. Each read is bounded; see `limits.slotRowsMax`. */
export interface SlotCounter {
  readonly clientId: string;
  readonly apps: readonly string[];
  all(): Promise<readonly Slots[]>;
  /**
   * Counts those of one user, or with null those whose user was not named.
   *
   * @param place a data centre's name, or the URL of an API host there
   */
  of(user: string | null, place: string | null): Promise<Slots>;
}

/** Makes the counter of an app's registration; null where the provider states no limit. */
export async function slotCounter(context: VaultContext, app: AppRow): Promise<SlotCounter | null> {
  const definition = await context.providers.get(app.provider);
  const max = definition?.refreshToken.livePerUserAndClient ?? null;
  if (definition === null || max === null) return null;
  const { db } = context.store;
  const { registration, definitions } = await registrationOf(context, app, definition);
  const placed = (token: StoredToken): LivingToken => {
    const { dc, api_domain } = token;
    return { ...token, dc: dcNamedIn(definitions.get(token.provider) ?? definition, { dc, api_domain }) };
  };
  const read = async (user?: string | null) => {
    const of = { ...registration, user, usersMax: limits.slotUsersMax, rowsMax: limits.slotRowsMax };
    const held = await tokensOfGrants(db, of);
    const loose = await tokensWithoutGrant(db, registration, limits.slotRowsMax);
    const all = [...held, ...loose].map(placed);
    return { all, unknown: all.filter((token) => token.user === null) };
  };
  const group = (
    user: string | null,
    dc: string | null,
    own: readonly LivingToken[],
    unknown: readonly LivingToken[],
  ) => describe({ app, user, dc, max }, own, unknown);
  return {
    clientId: app.client_id,
    apps: registration.apps,
    all: async () => {
      const { all, unknown } = await read();
      // A user whose grants have no living token takes no place.
      const byUser = Map.groupBy(all, ({ user }) => user);
      const groups: Slots[] = [];
      for (const [user, own] of byUser) {
        if (user === null || groups.length >= limits.slotUsersMax) continue;
        groups.push(group(user, own.find(({ dc }) => dc !== null)?.dc ?? null, own, unknown));
      }
      for (const dc of new Set(unknown.map((token) => token.dc))) groups.push(group(null, dc, [], unknown));
      return groups.toSorted((one, other) => other.upTo - one.upTo);
    },
    of: async (user, place) => {
      const dc = dcNamedIn(definition, { dc: place });
      const { all, unknown } = await read(user);
      const own = user === null ? [] : all.filter((token) => token.user === user);
      return group(user, dc, own, unknown);
    },
  };
}

async function registrationOf(
  context: VaultContext,
  app: AppRow,
  definition: ProviderDefinition,
): Promise<{ registration: Registration; definitions: ReadonlyMap<string, ProviderDefinition> }> {
  const all = await appsOfClient(context.store.db, app.client_id, limits.slotAppsMax);
  const definitions = new Map([[app.provider, definition]]);
  for (const provider of new Set(all.map((each) => each.provider))) {
    // Zoho's products are providers of their own, and one server issues the tokens of all of them.
    const other = provider === app.provider ? null : await context.providers.get(provider);
    if (other !== null && other.endpoints?.token === definition.endpoints?.token) definitions.set(provider, other);
  }
  const apps = all.filter((each) => definitions.has(each.provider)).map(({ name }) => name);
  const named = { apps: [...new Set([app.name, ...apps])], providers: [...definitions.keys()] };
  return { registration: { clientId: app.client_id, ...named }, definitions };
}

function describe(
  { app, user, dc, max }: { app: AppRow; user: string | null; dc: string | null; max: number },
  own: readonly LivingToken[],
  unknown: readonly LivingToken[],
): Slots {
  // A user lives in one data centre.
  const possible = unknown.filter((token) => token.dc === dc || token.dc === null || dc === null);
  const certain = distinct(user === null ? possible : own);
  const all = distinct([...own, ...possible]);
  // The provider has ended any older ones.
  const oldest = all.slice(0, max).at(-1);
  const { tenant = '', provider = '', account = '' } = oldest ?? {};
  return {
    app: app.name,
    provider: app.provider,
    user,
    dc,
    tokens: user === null ? certain.length : Math.min(max, certain.length),
    upTo: all.length,
    max,
    filling: all.length >= Math.ceil(max * warnedShare),
    next: oldest?.isHeld === true ? { tenant, provider, account } : null,
    nextConsentedAt: oldest === undefined ? null : new Date(oldest.consentedAt),
  };
}

/** Several grants may hold one token. The newest come first. */
function distinct(tokens: readonly LivingToken[]): LivingToken[] {
  const held = tokens.toSorted((one, other) => Number(one.isHeld) - Number(other.isHeld));
  const byToken = new Map(held.map((token) => [token.fingerprint, token]));
  return [...byToken.values()].toSorted((one, other) => other.consentedAt - one.consentedAt);
}
