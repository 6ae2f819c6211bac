import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { checkKey, checkName, newRandomText, newUuid } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { callbackUri } from '../../base/network/callback-uri.ts';
import type { SealPlace } from '../../crypto/tenant-keys.ts';
import type {
  ConnectSession,
  ConnectSessionInput,
  ConnectSessionPage,
  NewConnectSession,
} from '../../schemas/connect-session.ts';
import {
  type ConnectSessionRow,
  findConnectSession,
  insertConnectSession,
  listConnectSessions,
} from '../../storage/statements/connect-sessions.ts';
import { appFor } from '../app/apps.ts';
import { changing } from '../changing.ts';
import { checkText } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { factsOfQueued } from '../grant/facts.ts';
import { slotsWarning } from '../grant/slots/warning.ts';
import { checkWanted, wantedOfAddition } from '../organization/wanted.ts';
import { type GrantedScopes, hashText, scopesToAsk } from './authorize.ts';
import { additionFor } from './enhance.ts';

const pageItems = 100;

/**
 * Makes a link with which a tenant's user connects the tenant to a provider.
 *
 * @param publicUrl the server's public URL, without a slash at its end; the app's redirect URI must be there.
 * @throws {GrantryError} `invalid_request`, `not_found` for provider or app
 */
export async function createConnectSession(
  context: VaultContext,
  publicUrl: string,
  input: ConnectSessionInput,
): Promise<NewConnectSession> {
  const key = checkKey(input);
  const definition = await context.providers.require(key.provider);
  const addition =
    input.addScopes === undefined ? null : await additionFor(context, key, { ...input, addScopes: input.addScopes });
  if (addition !== null && input.scopes !== undefined) throw invalidRequest('Either scopes or add_scopes, not both.');
  const app = addition?.app ?? (await appFor(context, { ...key, app: input.app }));
  const redirectUri = callbackUri(publicUrl, app.context);
  if (app.redirect_uri !== null && app.redirect_uri !== redirectUri) {
    throw invalidRequest(`The redirect URI of the app ${app.name} is not this server's.`, {
      action: `Register ${redirectUri} at the provider, then update the app with it or without a redirect URI.`,
    });
  }
  const user = input.user === undefined ? null : checkText('user', input.user, limits.userCharsMax);
  const returnTo = input.returnTo === undefined ? null : checkReturnTo(app, input.returnTo);
  if (user !== null && returnTo === null) {
    throw invalidRequest('A session with a user needs a return_to, whose backend confirms the user.');
  }
  const { scopes, warnings } = addition ?? (await scopesToAsk(context, app, input.scopes));
  const wanted = addition === null ? checkWanted(definition, scopes, input) : wantedOfAddition(input);
  const id = newUuid(context.world);
  const token = newRandomText(context.world);
  await changing(context, async ({ tx, recordOther }) => {
    await insertConnectSession(tx, {
      ...key,
      id,
      token_hash: hashText(token),
      app: app.name,
      scopes: JSON.stringify(scopes),
      adds: addition === null ? null : JSON.stringify(addition.adds),
      return_to: returnTo,
      user_id: user,
      environment: wanted.environment,
      expect_organization: wanted.expectOrganization,
      lifeMs: context.times.connectLinkMs,
    });
    recordOther({ type: 'session.created', ...key, details: { session: id, app: app.name } });
  });
  const { expiresAt } = await getConnectSession(context, id);
  const warning = await slotsWarning(context, app.name, key);
  const link = { id, url: `${publicUrl}/connect/${token}`, expiresAt, warnings };
  return warning === undefined ? link : { ...link, warning };
}

/** @throws {GrantryError} `not_found` */
export async function getConnectSession(context: VaultContext, id: string): Promise<ConnectSession> {
  const row = await findConnectSession(context.store.db, checkSessionId(id));
  if (row === undefined) throw noSuchSession();
  return describeConnectSession(row, await context.store.nowMs());
}

/** Lists sessions, newest first. */
export async function listConnectSessionsOf(
  context: VaultContext,
  filter: {
    tenant?: string | undefined;
    tenants?: readonly string[] | undefined;
    providers?: readonly string[] | undefined;
    cursor?: string | undefined;
    limit?: number | undefined;
  } = {},
): Promise<ConnectSessionPage> {
  const limit = filter.limit ?? pageItems;
  const rows = await listConnectSessions(context.store.db, {
    tenant: filter.tenant === undefined ? undefined : checkName('tenant', filter.tenant),
    tenants: filter.tenants,
    providers: filter.providers,
    after: filter.cursor === undefined ? undefined : readCursor(filter.cursor),
    limit: limit + 1,
  });
  const now = await context.store.nowMs();
  const last = rows[limit - 1];
  return {
    items: rows.slice(0, limit).map((row) => (row.isIntact ? describeConnectSession(row, now) : describeAltered(row))),
    next: rows.length > limit && last !== undefined ? `${last.created_at}.${last.id}` : null,
  };
}

export function describeConnectSession(row: ConnectSessionRow, nowMs: number): ConnectSession {
  // Only `completion.ts` writes this column.
  const granted = row.granted === null ? null : (JSON.parse(row.granted) as GrantedScopes);
  return {
    id: row.id,
    tenant: row.tenant,
    provider: row.provider,
    account: row.account,
    app: row.app,
    // Only `createConnectSession` writes this column, as an array of strings.
    scopes: JSON.parse(row.scopes) as string[],
    addScopes: addsOf(row),
    returnTo: row.return_to,
    user: row.user_id,
    environment: row.environment,
    expectOrganization: row.expect_organization,
    state: stateOf(row, nowMs),
    ...errorOf(row.error),
    grantedScopes: granted?.scopes ?? null,
    narrower: granted?.narrower ?? null,
    wider: granted?.wider ?? null,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
    completedAt: row.completed_at === null ? null : new Date(row.completed_at),
  };
}

/** The scopes that an existing grant gains; null for a new consent. */
export function addsOf({ adds }: Pick<ConnectSessionRow, 'adds'>): string[] | null {
  // Only `createConnectSession` writes this column, as an array of strings.
  return adds === null ? null : (JSON.parse(adds) as string[]);
}

/** Shows which row was altered. The rest may be anything, so it is left out. */
function describeAltered({ id, tenant }: ConnectSessionRow): ConnectSession {
  const unset = { addScopes: null, returnTo: null, user: null, environment: null, expectOrganization: null };
  const none = { provider: '', account: '', app: '', scopes: [], ...unset };
  const times = { createdAt: new Date(0), expiresAt: new Date(0), completedAt: null };
  const ended = {
    state: 'failed' as const,
    error: 'integrity_failed',
    detail: null,
    grantedScopes: null,
    narrower: null,
    wider: null,
  };
  return { id, tenant, ...none, ...ended, ...times, integrityFailed: true };
}

const detailMark = ': ';

/** Writes the error of a session as it is stored: its code, and what happened. */
export function sessionError(code: string, detail: string): string {
  return `${code}${detailMark}${detail}`;
}

function errorOf(stored: string | null): Pick<ConnectSession, 'error' | 'detail'> {
  const end = stored?.indexOf(detailMark) ?? -1;
  if (stored === null || end === -1) return { error: stored, detail: null };
  return { error: stored.slice(0, end), detail: stored.slice(end + detailMark.length) };
}

/** @throws {GrantryError} `not_found` for a text that is no session id */
export function checkSessionId(id: unknown): string {
  if (typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id)) return id;
  throw noSuchSession();
}

export function noSuchSession(): GrantryError {
  return new GrantryError('not_found', 'There is no such connect session.');
}

/** True if the URL equals an entry of the app's list, character by character (RFC 9700 section 4.11). */
export function isReturnToOf(app: { readonly return_to: string }, returnTo: string): boolean {
  // Only `putAppOf` writes this column, as an array of strings.
  return (JSON.parse(app.return_to) as string[]).includes(returnTo);
}

function checkReturnTo(app: { readonly name: string; readonly return_to: string }, returnTo: unknown): string {
  if (typeof returnTo === 'string' && isReturnToOf(app, returnTo)) return returnTo;
  throw invalidRequest(`The return_to is not in the list of the app ${app.name}.`, {
    action: "Add the exact URL to the app's return_to list.",
  });
}

function stateOf(row: ConnectSessionRow, nowMs: number): ConnectSession['state'] {
  if (row.state === 'completed' || row.state === 'failed') return row.state;
  if (row.expires_at <= nowMs) return 'expired';
  return row.state === 'exchanging' ? 'started' : row.state;
}

function readCursor(cursor: string): { createdAt: number; id: string } {
  // An altered row may have any id, and must not hide those after it.
  const [, createdAt, id] = /^(-?\d{1,16})\.([^]+)$/.exec(cursor) ?? [];
  if (createdAt !== undefined && id !== undefined) return { createdAt: Number(createdAt), id };
  throw invalidRequest('The cursor does not come from a list.');
}

/** The key of a session at its current start. */
export function sessionStart({ tenant, id, starts }: ConnectSessionRow) {
  return { tenant, id, starts };
}

/** The place of tokens that wait: they become the grant of this provider, account and app, or no grant. */
export function pendingPlace(row: Pick<ConnectSessionRow, 'id' | 'provider' | 'account' | 'app'>): SealPlace {
  const facts = factsOfQueued({ ...row, dc: null });
  return { table: 'grantry_connect_sessions', row: row.id, column: 'pending', generation: 0, facts };
}
