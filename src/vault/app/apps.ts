import { createHash } from 'node:crypto';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { checkName, checkProviderId } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import type { OAuthClient } from '../../oauth/types.ts';
import { resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { ScopeFinding } from '../../providers/scope-lint.ts';
import type { WriteTx } from '../../storage/database.ts';
import {
  type AppRow,
  changedMeanwhile,
  deleteApp,
  findApp,
  findMarkedApp,
  listApps,
  listAppsFor,
  putApp,
} from '../../storage/statements/apps.ts';
import { clearBackOff } from '../../storage/statements/back-off.ts';
import { deleteOverdueRevocations, hasRevocations } from '../../storage/statements/revocations.ts';
import { countGrantsOfApp, hasConnections, lockApp } from '../../storage/statements/standing.ts';
import { changing } from '../changing.ts';
import { checkObject, checkRedirectUri, checkText } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import type { App, AppInput } from '../types.ts';
import { checkReasons, lintedScopes, reasonsOf, unexplainedScopes } from './app-scopes.ts';
import { onlyApp } from './only-app.ts';
import { anyDc, dcsWithSecret, openSecrets, pinSystemKeys, sealSecrets, secretFor } from './secrets.ts';

/**
 * Makes or replaces a client registration.
 *
 * @param options `onlyNew` makes an app and replaces none. `seen` is the app that the input was made from
 * @throws {GrantryError} `not_found` for its provider; `invalid_request`, also for an existing app with `onlyNew`, for an
 * app that was changed since it was `seen`, and for another client id or provider while the app has grants
 */
export async function putAppOf(
  context: VaultContext,
  name: string,
  input: AppInput,
  options: { onlyNew?: boolean; seen?: Revision } = {},
): Promise<{ app: App; warnings: readonly ScopeFinding[]; created: boolean }> {
  checkName('app', name);
  checkObject('app', input);
  const definition = await context.providers.require(checkProviderId(input.provider));
  const checked = await checkApp(definition, input, await keptScopes(context, name));
  const newSecrets = checkSecrets(definition, input);
  const system = await pinSystemKeys(context);
  const put = await changing(context, async ({ tx, recordOther }) => {
    // Under the lock no process stores tokens for the old client, so the look at the uses finds all of them.
    await lockApp(tx, name, 'update');
    const found = await findMarkedApp(tx, name);
    if (found !== undefined && options.onlyNew === true) throw invalidRequest(`The app ${name} already exists.`);
    if (options.seen !== undefined && !isSameRevision(options.seen, found)) throw changedMeanwhile(name);
    // Nothing that an altered row says is taken over: this app replaces it, with its own secrets.
    const old = found?.isIntact === false ? undefined : found;
    if (found !== undefined && old === undefined) await deleteApp(tx, name);
    const isAnother = old !== undefined && (old.provider !== definition.id || old.client_id !== checked.clientId);
    if (isAnother && (await countGrantsOfApp(tx, name)) > 0) {
      throw invalidRequest(
        `The app ${name} has grants of its client ${old.client_id} at ${old.provider}, which no other client can use.`,
        { action: 'Add the other client as an app with another name, or disconnect the grants first.' },
      );
    }
    if (isAnother) await assertNoneUnderWay(tx, name);
    const generation = (old?.generation ?? 0) + 1;
    // A seal binds the row's generation, so stored secrets are opened and sealed anew. They are dropped if the client
    // or the provider changes: a caller who may change these must not have a secret sent elsewhere.
    const secrets =
      newSecrets ?? (old === undefined || isAnother ? new Map<string, Secret>() : openSecrets(system, old));
    const now = context.world.now();
    const client = { name, generation, provider: definition.id, client_id: checked.clientId };
    const row: AppRow = {
      ...client,
      client_secrets: sealSecrets(system, client, secrets),
      dc: checked.dc,
      redirect_uri: checked.redirectUri,
      scopes: JSON.stringify(checked.scopes),
      tenants: checked.tenants === null ? null : JSON.stringify(checked.tenants),
      return_to: JSON.stringify(checked.returnTo),
      scope_reasons: Object.keys(checked.scopeReasons).length === 0 ? null : JSON.stringify(checked.scopeReasons),
      pkce: checked.pkce,
      context: old?.context ?? contextOf(name, context.world.randomBytes(9)),
      created_at: old?.created_at ?? now,
      updated_at: now,
    };
    await putApp(tx, row);
    // This change may have fixed the app, so its grants need not wait for their back-off.
    await clearBackOff(tx, name);
    recordOther({ type: 'app.put', provider: definition.id, details: { app: name, generation } });
    return { row, created: found === undefined };
  });
  return { app: await describeApp(context, put.row), warnings: checked.warnings, created: put.created };
}

type Revision = Pick<AppRow, 'generation' | 'context'>;

/** True if an app is still as it was read. One that was made anew under its name has another context. */
export function isSameRevision(seen: Revision, found: Revision | undefined): boolean {
  return found?.generation === seen.generation && found.context === seen.context;
}

/** Reads an app, without its secrets. */
export async function getApp(context: VaultContext, name: string): Promise<App | null> {
  const row = await findApp(context.store.db, checkName('app', name));
  return row === undefined ? null : describeApp(context, row);
}

/** Lists all apps. A row that was altered outside of Grantry is marked. */
export async function listAllApps(context: VaultContext): Promise<App[]> {
  const rows = await listApps(context.store.db);
  return Promise.all(rows.map(async (row) => (row.isIntact ? describeApp(context, row) : describeAltered(row))));
}

/** @throws {GrantryError} `not_found`, `invalid_request` while grants use it */
export async function removeApp(context: VaultContext, name: string): Promise<void> {
  checkName('app', name);
  await changing(context, async ({ tx, recordOther }) => {
    await lockApp(tx, name, 'update');
    const grants = await countGrantsOfApp(tx, name);
    if (grants > 0) {
      throw invalidRequest(`${grants === 1 ? 'One grant uses' : `${grants} grants use`} the app ${name}.`, {
        action: 'Disconnect them first: without the app they cannot be refreshed.',
      });
    }
    await assertNoneUnderWay(tx, name);
    if (!(await deleteApp(tx, name))) throw new GrantryError('not_found', `There is no app ${name}.`);
    recordOther({ type: 'app.removed', details: { app: name } });
  });
}

/**
 * Asserts that no token waits to be revoked with an app, and none is expected or waits for its completion code: another
 * client under this name must get none of them.
 */
async function assertNoneUnderWay(tx: WriteTx, name: string): Promise<void> {
  const named = { column: 'app', name } as const;
  await deleteOverdueRevocations(tx, named);
  if (await hasRevocations(tx, named)) {
    throw invalidRequest(`Tokens of the app ${name} still wait to be revoked.`, {
      action: 'Try later: workers revoke the tokens with this app, and drop them after at most a week.',
    });
  }
  if (await hasConnections(tx, named)) {
    throw invalidRequest(`A connection with the app ${name} is under way.`, {
      action: 'Try later: a connection ends within 20 minutes, with a grant or without.',
    });
  }
}

/**
 * Finds the app that serves a tenant at a provider: the named app, else the tenant's own app, else the only app for all
 * tenants.
 *
 * @throws {GrantryError} `not_found`; `invalid_request` if several apps match, or the app does not serve the tenant
 */
export async function appFor(
  context: VaultContext,
  wanted: { tenant: string; provider: string; app?: string | null | undefined },
): Promise<AppRow> {
  const { tenant, provider, app: name } = wanted;
  if (name !== undefined && name !== null) {
    const row = await findApp(context.store.db, checkName('app', name));
    if (row === undefined) throw new GrantryError('not_found', `There is no app ${name}.`);
    if (row.provider !== provider) throw invalidRequest(`The app ${name} is for ${row.provider}, not for ${provider}.`);
    if (!serves(row, tenant)) throw invalidRequest(`The app ${name} does not serve ${tenant}.`);
    return row;
  }
  return onlyApp(await listAppsFor(context.store.db, { provider, tenant }), tenantsOf, wanted);
}

/** The tenants that an app serves; null is all. */
export function tenantsOf(row: Pick<AppRow, 'tenants'>): readonly string[] | null {
  return row.tenants === null ? null : parseList(row.tenants);
}

/** Makes the client of an app in one data centre, with its secret opened. */
export async function clientOf(
  context: VaultContext,
  definition: ProviderDefinition,
  app: AppRow,
  dc: string | null,
): Promise<OAuthClient> {
  const secret = secretFor(openSecrets(await pinSystemKeys(context), app), dc);
  if (secret === null && definition.clientAuthentication !== 'none') {
    const where = dc === null ? '' : ` for the data centre ${dc}`;
    throw new GrantryError('provider_misconfigured', `The app ${app.name} has no client secret${where}.`);
  }
  return { definition, dc, clientId: app.client_id, clientSecret: secret };
}

/** The public view of an app. */
export async function describeApp(context: VaultContext, row: AppRow): Promise<App> {
  const scopes = parseList(row.scopes);
  const scopeReasons = reasonsOf(row);
  return {
    name: row.name,
    provider: row.provider,
    clientId: row.client_id,
    dc: row.dc,
    redirectUri: row.redirect_uri,
    scopes,
    tenants: tenantsOf(row),
    returnTo: parseList(row.return_to),
    secrets: dcsWithSecret(row),
    scopeReasons,
    scopesWithoutReason: await unexplainedScopes(context, { provider: row.provider, scopes, reasons: scopeReasons }),
    pkce: row.pkce,
    callbackId: row.redirect_uri === null ? row.context : null,
  };
}

/** Shows which row was altered. The rest may be anything, so it is left out. */
function describeAltered({ name }: AppRow): App {
  const none = { provider: '', clientId: '', dc: null, redirectUri: null, scopes: [], tenants: [], returnTo: [] };
  const scoping = { scopeReasons: {}, scopesWithoutReason: [], pkce: null };
  return { name, ...none, ...scoping, secrets: [], callbackId: null, integrityFailed: true };
}

/** True if an app serves a tenant. */
export function serves(row: Pick<AppRow, 'tenants'>, tenant: string): boolean {
  return tenantsOf(row)?.includes(tenant) ?? true;
}

/** The scopes that an app has. They stay possible: a change of its secret must not fail for them. */
async function keptScopes(context: VaultContext, name: string): Promise<readonly string[]> {
  const row = await findMarkedApp(context.store.db, name);
  return row?.isIntact === true ? parseList(row.scopes) : [];
}

async function checkApp(definition: ProviderDefinition, input: AppInput, kept: readonly string[]) {
  const tenants = checkList('tenants', input.tenants)?.map((tenant) => checkName('tenant', tenant)) ?? null;
  if (tenants?.length === 0) throw invalidRequest('The list of tenants is empty.');
  const { scopes } = await lintedScopes(definition, input.scopes ?? [], {}, { kept });
  const scopeReasons = checkReasons(definition, scopes, input.scopeReasons);
  const { warnings } = await lintedScopes(definition, input.scopes ?? [], scopeReasons, { kept });
  return {
    clientId: checkText('client id', input.clientId, limits.clientIdCharsMax),
    dc: input.dc === undefined ? null : resolveDc(definition, checkText('data centre', input.dc, limits.nameCharsMax)),
    redirectUri: input.redirectUri === undefined ? null : checkRedirectUri(input.redirectUri),
    scopes,
    scopeReasons,
    warnings,
    pkce: checkPkce(input.pkce),
    tenants,
    returnTo: (checkList('addresses to return to', input.returnTo) ?? []).map((url) => checkRedirectUri(url)),
  };
}

function checkPkce(value: AppInput['pkce']): 'off' | 'S256' | null {
  if (value === undefined || value === null) return null;
  if (value === 'off' || value === 'S256') return value;
  throw invalidRequest('PKCE is off or S256.');
}

function checkSecrets(definition: ProviderDefinition, input: AppInput): Map<string, Secret> | null {
  const { clientSecret, clientSecrets } = input;
  if (clientSecret === undefined && clientSecrets === undefined) return null;
  if (clientSecrets !== undefined) {
    checkObject('client secrets', clientSecrets);
    // An empty object would leave the app and its grants without any secret.
    if (Object.keys(clientSecrets).length === 0) {
      throw invalidRequest('The client secrets are empty. Leave them out to keep the stored ones.');
    }
  }
  const secrets = new Map<string, Secret>();
  if (clientSecret !== undefined) secrets.set(anyDc, checkSecret(clientSecret));
  for (const [dc, secret] of Object.entries(clientSecrets ?? {})) {
    secrets.set(dc === anyDc ? anyDc : resolveDc(definition, dc), checkSecret(secret));
  }
  return secrets;
}

function checkList(what: string, value: readonly string[] | undefined): readonly string[] | undefined {
  if (value === undefined || Array.isArray(value)) return value;
  throw invalidRequest(`The ${what} must be a list.`);
}

/** Checks a client secret from outside, and wraps it. */
export function checkSecret(value: unknown): Secret {
  // The text is only measured here.
  const text = value instanceof Secret ? value.reveal() : value;
  return new Secret(checkText('client secret', text, limits.clientSecretCharsMax, { multiline: true }));
}

/** Makes an unguessable callback id: a caller who knows an app's name cannot aim a callback at it. */
function contextOf(name: string, random: Uint8Array): string {
  const tail = Buffer.from(random).toString('base64url');
  return createHash('sha256').update(`${name}\0${tail}`).digest('base64url').slice(0, 22);
}

function parseList(json: string): string[] {
  // Only this file writes these columns, as arrays of strings.
  return JSON.parse(json) as string[];
}
