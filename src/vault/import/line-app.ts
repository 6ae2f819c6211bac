import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { checkName } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { splitScopes } from '../../providers/scopes.ts';
import { type AppRow, findApp } from '../../storage/statements/apps.ts';
import { lintedScopes } from '../app/app-scopes.ts';
import { checkSecret, describeApp, isSameRevision, putAppOf, tenantsOf } from '../app/apps.ts';
import { fillScopes } from '../app/fill-scopes.ts';
import { anyDc, openSecrets, pinSystemKeys, secretFor } from '../app/secrets.ts';
import { fingerprinter, type VaultContext } from '../context.ts';

/** The client of an app, as a line of an import names it. */
export interface LineClient {
  /** The app that the line names. Without it, the app is `TENANT-PROVIDER`. */
  readonly app: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: string | Secret | undefined;
  readonly dc: string | null;
  /** The scopes that an app without scopes is to ask for. */
  readonly scopes: readonly string[];
  readonly replace: boolean;
  readonly dryRun: boolean;
}

/** The app of a line. `isMissing`: a dry run has not made it. */
export interface LineApp {
  readonly name: string;
  readonly isMissing: boolean;
  readonly differs: readonly ('client_id' | 'client_secret')[];
  /** True if a secret was replaced, or would be. */
  readonly replaced: boolean;
  /** The scopes that an app gets that had none, or would get. */
  readonly fills?: readonly string[];
}

/**
 * Finds or makes the app of a line that brings a client. A stored secret that differs stays, unless the line replaces it:
 * it may have been rotated since. An app that the line names belongs to the operator, and no line changes it.
 *
 * @throws {GrantryError} `invalid_request` if the app serves others, or has another client than the line says
 */
export async function appOfLine(context: VaultContext, key: CheckedKey, client: LineClient): Promise<LineApp> {
  const name = checkName('app', client.app ?? `${key.tenant}-${key.provider}`);
  const row = await findApp(context.store.db, name);
  if (row === undefined) return makeApp(context, key, name, client);
  checkServes(row, key, client);
  if (client.app !== undefined) return { name, isMissing: false, differs: [], replaced: false };
  const differs: LineApp['differs'][number][] = [];
  if (client.clientId !== undefined && client.clientId !== row.client_id) differs.push('client_id');
  if (await hasOtherSecret(context, row, client)) differs.push('client_secret');
  if (!client.replace || differs.length === 0) {
    // As for a new app: a list that was not valid at the first import is there now.
    const definition = await context.providers.require(key.provider);
    const isOpen = row.scopes === '[]' && !differs.includes('client_id');
    const fills = isOpen ? await possibleScopes(definition, client.scopes) : [];
    const isFilled = fills.length > 0 && (client.dryRun || (await fillScopes(context, row, fills)));
    return { name, isMissing: false, differs, replaced: false, ...(isFilled ? { fills } : {}) };
  }
  if (client.dryRun) return { name, isMissing: false, differs: [], replaced: true };
  try {
    await replaceClient(context, row, client);
  } catch (error) {
    // Another caller has changed or removed the app meanwhile, so the line is compared with what is there now.
    const now = await findApp(context.store.db, name);
    if (!isGrantryError(error, 'invalid_request') || isSameRevision(row, now)) throw error;
    return appOfLine(context, key, client);
  }
  return { name, isMissing: false, differs: [], replaced: true };
}

async function makeApp(context: VaultContext, key: CheckedKey, name: string, client: LineClient): Promise<LineApp> {
  const { clientId, clientSecret, dc, scopes } = client;
  const definition = await context.providers.require(key.provider);
  const { clientAuthentication } = definition;
  const lacks = clientId === undefined ? 'client id' : 'client secret';
  if (clientId === undefined || (clientSecret === undefined && clientAuthentication !== 'none')) {
    throw invalidRequest(`There is no app ${name}, and the ${lacks} for a new one is missing.`, {
      action: `Add the ${lacks}, or name an existing app.`,
    });
  }
  if (client.dryRun) return { name, isMissing: true, differs: [], replaced: false };
  const app = {
    provider: key.provider,
    clientId,
    ...(clientSecret === undefined ? {} : { clientSecret }),
    ...(dc === null ? {} : { dc }),
    scopes: await possibleScopes(definition, scopes),
    ...(client.app === undefined ? { tenants: [key.tenant] } : {}),
  };
  try {
    await putAppOf(context, name, app, { onlyNew: true });
  } catch (error) {
    // Another line, or another process, has made it meanwhile.
    if (!isGrantryError(error, 'invalid_request') || (await findApp(context.store.db, name)) === undefined) throw error;
    return appOfLine(context, key, client);
  }
  return { name, isMissing: false, differs: [], replaced: false };
}

/** The scopes of a line without those that the provider cannot have: a line about tokens must not fail for its app. */
async function possibleScopes(definition: ProviderDefinition, given: readonly string[]): Promise<string[]> {
  const all = splitScopes(definition, given);
  const { scopes, warnings } = await lintedScopes(definition, all, {}, { kept: all });
  const impossible = new Set(warnings.filter(({ level }) => level === 'error').map(({ scope }) => scope));
  return scopes.filter((scope) => !impossible.has(scope));
}

function checkServes(row: AppRow, key: CheckedKey, { app, clientId }: LineClient): void {
  if (row.provider !== key.provider) {
    throw invalidRequest(`The app ${row.name} is for ${row.provider}, not for ${key.provider}.`, {
      action: `Name an app for ${key.provider}.`,
    });
  }
  if (app !== undefined) {
    if (clientId === undefined || clientId === row.client_id) return;
    throw invalidRequest(`The client id is not that of the app ${row.name}.`, {
      action: 'Name the app that the tokens were issued to: no other app can refresh them.',
    });
  }
  const tenants = tenantsOf(row);
  if (tenants?.length === 1 && tenants[0] === key.tenant) return;
  throw invalidRequest(`The app ${row.name} exists already, and it does not serve only ${key.tenant}.`, {
    action: `Name it as the app of the tokens, or name another app.`,
  });
}

async function hasOtherSecret(context: VaultContext, row: AppRow, { clientSecret, dc }: LineClient): Promise<boolean> {
  if (clientSecret === undefined) return false;
  const stored = secretFor(openSecrets(await pinSystemKeys(context), row), dc ?? row.dc);
  const fingerprint = await fingerprinter(context);
  return stored === null || fingerprint(stored) !== fingerprint(checkSecret(clientSecret));
}

/**
 * Puts the line's client into the app, if the app is still as it was read. The secrets of other data centres stay, unless
 * the client id changes.
 */
async function replaceClient(context: VaultContext, row: AppRow, client: LineClient): Promise<void> {
  const { provider, clientId, dc, redirectUri, scopes, scopeReasons, pkce, tenants, returnTo } = await describeApp(
    context,
    row,
  );
  const isSameClient = client.clientId === undefined || client.clientId === clientId;
  const secrets = isSameClient ? openSecrets(await pinSystemKeys(context), row) : new Map<string, Secret>();
  const place = client.dc !== null && secrets.has(client.dc) ? client.dc : anyDc;
  if (client.clientSecret !== undefined) secrets.set(place, checkSecret(client.clientSecret));
  const definition = await context.providers.require(provider);
  const replaced = {
    provider,
    clientId: client.clientId ?? clientId,
    ...(secrets.size === 0 ? {} : { clientSecrets: Object.fromEntries(secrets) }),
    dc: dc ?? undefined,
    redirectUri: redirectUri ?? undefined,
    scopes: scopes.length === 0 ? await possibleScopes(definition, client.scopes) : scopes,
    scopeReasons,
    pkce,
    tenants: tenants ?? undefined,
    returnTo,
  };
  await putAppOf(context, row.name, replaced, { seen: row });
}
