import type { Reader } from '../../database.ts';
import { nothingGranted } from '../connect-sessions.ts';
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

/** The grants that are read to count a registration's tokens. */
export interface OfUsers extends Registration {
  /** Only the grants of this user, and those whose user is unknown; of all users when left out. */
  readonly user?: string | null | undefined;
  /** So many users with the most grants are read. */
  readonly usersMax: number;
  /** So many of the newest consents of each are read. */
  readonly rowsMax: number;
}

/** Condemned grants are left out: the provider has refused their tokens. */
const livingStates = ['active', 'uncertain', 'suspect'] as const;

/**
 * Lists the tokens of living grants, and those that were replaced by hand and are kept beside them, in one statement for all
 * users. Answers that wait for their turn have the consent of their grant, so they take no place of their own.
 */
export async function tokensOfGrants(db: Reader, of: OfUsers): Promise<LivingToken[]> {
  const rows = await db
    .selectFrom(rankedGrants(db, of).as('grants'))
    .leftJoin('grantry_candidates', (join) =>
      join
        .onRef('grantry_candidates.tenant', '=', 'grants.client_id')
        .onRef('grantry_candidates.grant_id', '=', 'grants.id')
        .on('grantry_candidates.state', '=', 'untested')
        .on('grantry_candidates.fence', '=', 0),
    )
    .select(['grants.client_id', 'grants.provider', 'grants.account', 'grants.metadata', 'grants.created_at'])
    .select(['grants.refresh_fingerprint', 'grants.consented_at', 'grants.consent_user'])
    .select(['grantry_candidates.token_fingerprint as replaced', 'grantry_candidates.received_at'])
    .where('grants.row_place', '<=', of.rowsMax)
    .where((where) => where.or([where('consent_user', 'is', null), where('user_place', '<=', of.usersMax)]))
    .execute();
  return rows.flatMap(({ refresh_fingerprint: fingerprint, replaced, received_at, ...row }) => {
    const own = fingerprint === null ? [] : [{ ...placeOf(row), fingerprint, isHeld: true }];
    if (replaced === null || received_at === null) return own;
    // Its consent is older than the day on which it was replaced.
    const before = placeOf({ ...row, consented_at: received_at - 1 });
    return [...own, { ...before, fingerprint: replaced, isHeld: false }];
  });
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
      // A grant held the token again, and the provider has refused it since.
      .where((where) =>
        where.not(
          where.exists(
            where
              .selectFrom('oauth_tokens')
              .select('id')
              .whereRef('refresh_fingerprint', '=', 'grantry_left_tokens.fingerprint')
              .where('state', '=', 'reauthorization_required'),
          ),
        ),
      )
      .orderBy('left_at', 'desc')
      .limit(limit)
      .execute(),
    db
      .selectFrom('grantry_connect_sessions')
      .select(['tenant', 'provider', 'account', 'created_at', 'id as fingerprint'])
      .where('app', 'in', apps)
      .where('state', '=', 'pending')
      // A session that adds scopes to a grant's own token holds no other one, and grants nothing before its end.
      .where('granted', '<>', nothingGranted)
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

/** The living grants of a registration, with their places among those of their user, and the place of the user. */
function rankedGrants(db: Reader, { apps, providers, user }: OfUsers) {
  const counted = db
    .selectFrom('oauth_tokens')
    .select(['id', 'client_id', 'provider', 'account', 'metadata', 'created_at', 'refresh_fingerprint'])
    .select(['consented_at', 'consent_user'])
    .select(({ fn }) => [
      fn
        .agg<number>('row_number')
        .over((over) => over.partitionBy('consent_user').orderBy('consented_at', 'desc').orderBy('id'))
        .as('row_place'),
      fn
        .countAll<number>()
        .over((over) => over.partitionBy('consent_user'))
        .as('grants'),
    ])
    .where('state', 'in', livingStates)
    .where('provider', 'in', providers)
    .where((where) =>
      where.or([
        // The app of a grant without one is looked up when it is needed: it may be this one.
        where.and([where('consent_user', 'is', null), where.or([where('app', 'in', apps), where('app', 'is', null)])]),
        where.and([
          where('app', 'in', apps),
          user === undefined ? where('consent_user', 'is not', null) : where('consent_user', '=', user ?? ''),
        ]),
      ]),
    );
  return db
    .selectFrom(counted.as('counted'))
    .selectAll()
    .select(({ fn }) =>
      fn
        .agg<number>('dense_rank')
        .over((over) => over.orderBy('grants', 'desc').orderBy('consent_user'))
        .as('user_place'),
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
