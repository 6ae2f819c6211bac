import type { Reader } from '../../database.ts';
import { type GrantRow, metadataOf } from '../grants.ts';

/** A refresh token that takes a place at its provider, as far as the database knows. */
export interface LivingToken {
  readonly fingerprint: string;
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly user: string | null;
  /** Its data centre, as it is stored: a name, or the URL of an API host. */
  readonly dc: unknown;
  readonly api_domain: unknown;
  readonly consentedAt: number;
  /** True for the token of a grant: the grant ends with it. */
  readonly isHeld: boolean;
}

/** The apps of one client registration. Zoho's products share its places, so their providers differ. */
export interface Registration {
  readonly clientId: string;
  readonly apps: readonly string[];
  readonly providers: readonly string[];
}

/** The grants of a registration that one user gave; of users whom the provider did not name with null. */
export interface OfUser extends Registration {
  readonly user: string | null;
  /** The newest consents are read, up to this number. */
  readonly limit: number;
}

/** Condemned grants are left out: the provider has refused their tokens. */
const livingStates = ['active', 'uncertain', 'suspect'] as const;

/** Lists the tokens of living grants, of the newest consents first. Reads the index of the slots. */
export async function tokensOfGrants(db: Reader, of: OfUser): Promise<LivingToken[]> {
  const rows = await newestGrants(db, of).execute();
  return rows.flatMap(({ refresh_fingerprint: fingerprint, ...row }) =>
    fingerprint === null ? [] : [{ ...placeOf(row), fingerprint, isHeld: true }],
  );
}

/**
 * Lists tokens that were replaced by hand and are kept beside the grants of {@link tokensOfGrants}. Answers that wait for
 * their turn have the consent of their grant, so they take no place of their own.
 */
export async function tokensReplacedByHand(db: Reader, of: OfUser): Promise<LivingToken[]> {
  const rows = await db
    .selectFrom(newestGrants(db, of).as('grants'))
    .innerJoin('grantry_candidates', (join) =>
      join
        .onRef('grantry_candidates.tenant', '=', 'grants.client_id')
        .onRef('grantry_candidates.grant_id', '=', 'grants.id'),
    )
    .select(['grants.client_id', 'grants.provider', 'grants.account', 'grants.metadata', 'grants.created_at'])
    .select(['grants.consent_user', 'grantry_candidates.token_fingerprint', 'grantry_candidates.received_at'])
    .where('grantry_candidates.state', '=', 'untested')
    .where('grantry_candidates.fence', '=', 0)
    .limit(of.limit)
    .execute();
  // Its consent is older than the day on which it was replaced.
  return rows.map(({ token_fingerprint: fingerprint, received_at: consented_at, ...row }) => ({
    ...placeOf({ ...row, consented_at: consented_at - 1 }),
    fingerprint,
    isHeld: false,
  }));
}

/** Lists the tokens of a registration that wait to be revoked, were let go without that, or wait for their completion code. */
export async function tokensWithoutGrant(
  db: Reader,
  { clientId, apps }: Registration,
  limit: number,
): Promise<LivingToken[]> {
  const [queued, left, pending] = await Promise.all([
    db
      .selectFrom('grantry_revocations')
      .select(['tenant', 'provider', 'account', 'dc', 'consent_user', 'consented_at', 'created_at'])
      .select('token_fingerprint as fingerprint')
      .where('app', 'in', apps)
      .limit(limit)
      .execute(),
    db
      .selectFrom('grantry_left_tokens')
      .select(['tenant', 'provider', 'account', 'dc', 'consent_user', 'consented_at', 'left_at as created_at'])
      .select('fingerprint')
      .where('registration', '=', clientId)
      .orderBy('left_at', 'desc')
      .limit(limit)
      .execute(),
    db
      .selectFrom('grantry_connect_sessions')
      .select(['tenant', 'provider', 'account', 'created_at', 'id as fingerprint'])
      .where('app', 'in', apps)
      .where('state', '=', 'pending')
      .limit(limit)
      .execute(),
  ]);
  const unknown = { dc: null, consent_user: null, consented_at: null };
  return [...queued, ...left, ...pending.map((session) => ({ ...session, ...unknown }))].map((row) => {
    const { fingerprint, tenant, provider, account, dc, consent_user: user } = row;
    const consentedAt = row.consented_at ?? row.created_at;
    return { fingerprint, tenant, provider, account, dc, api_domain: null, user, consentedAt, isHeld: false };
  });
}

/** Names the apps with a client id, at any provider. */
export async function appsOfClient(db: Reader, clientId: string, limit: number) {
  return db
    .selectFrom('grantry_apps')
    .select(['name', 'provider'])
    .where('client_id', '=', clientId)
    .orderBy('name')
    .limit(limit)
    .execute();
}

/** Counts the living grants of a registration per user, those with the most first. Reads only the index of the slots. */
export async function grantsPerUser(
  db: Reader,
  { apps }: Registration,
  limit: number,
): Promise<{ user: string | null; grants: number }[]> {
  const rows = await db
    .selectFrom('oauth_tokens')
    .select((column) => ['consent_user as user', column.fn.countAll<number | string>().as('grants')])
    .where('app', 'in', apps)
    .where('state', 'in', livingStates)
    .groupBy('consent_user')
    .orderBy('grants', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ user, grants }) => ({ user, grants: Number(grants) }));
}

function newestGrants(db: Reader, { apps, providers, user, limit }: OfUser) {
  return (
    db
      .selectFrom('oauth_tokens')
      .select(['id', 'client_id', 'provider', 'account', 'metadata', 'created_at', 'refresh_fingerprint'])
      .select(['consented_at', 'consent_user'])
      .where('state', 'in', livingStates)
      .where('provider', 'in', providers)
      // The app of a grant without one is looked up when it is needed: it may be this one.
      .where((where) =>
        user === null
          ? where.and([
              where('consent_user', 'is', null),
              where.or([where('app', 'in', apps), where('app', 'is', null)]),
            ])
          : where.and([where('app', 'in', apps), where('consent_user', '=', user)]),
      )
      .orderBy('consented_at', 'desc')
      .limit(limit)
  );
}

function placeOf(
  row: Pick<GrantRow, 'client_id' | 'provider' | 'account' | 'metadata' | 'created_at'> & {
    readonly consented_at: number | null;
    readonly consent_user: string | null;
  },
) {
  const { client_id: tenant, provider, account, consent_user: user } = row;
  const { dc, api_domain } = metadataOf(row);
  const consentedAt = row.consented_at ?? Date.parse(row.created_at);
  return { tenant, provider, account, user, dc, api_domain, consentedAt };
}
