import { codeOf, invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkName } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { grantDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type AppRow, findApp, listAppsFor, putApp } from '../../storage/statements/apps.ts';
import { clearBackOff } from '../../storage/statements/back-off.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { countGrantsOfApp } from '../../storage/statements/standing.ts';
import { checkSecret, putAppOf, serves } from '../app/apps.ts';
import { anyDc, openSecrets, pinSystemKeys, sealSecrets, secretFor } from '../app/secrets.ts';
import { changing } from '../changing.ts';
import { checkText } from '../checks.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { bindAppOf } from '../grant/change-facts.ts';
import type { CandidateClient } from '../refresh/candidate-client.ts';

/** Client credentials from a caller. */
export interface ClientCredentials {
  clientId: string;
  /** Optional only if the provider's clients have no secret. */
  clientSecret?: string | Secret | undefined;
}

/** Checked {@link ClientCredentials}. */
export interface CheckedClient {
  readonly clientId: string;
  readonly clientSecret: Secret | null;
}

/** Maximum number of attempts to write an app that other processes change at the same time. */
const triesMax = 3;

/**
 * Checks a caller's credentials. The provider's definition is read only if it matters: without the database it may be
 * unavailable while a cached token can still be handed out.
 *
 * @throws {GrantryError} `invalid_request`; its message never contains the secret
 */
export async function checkCredentials(
  input: ClientCredentials,
  definition: () => Promise<ProviderDefinition>,
): Promise<CheckedClient> {
  if (input === null || typeof input !== 'object') {
    throw invalidRequest('The credentials must be an object { clientId, clientSecret }.');
  }
  const clientId = checkText('client id', input.clientId, limits.clientIdCharsMax);
  if (input.clientSecret === undefined && (await definition()).clientAuthentication === 'none') {
    return { clientId, clientSecret: null };
  }
  return { clientId, clientSecret: checkSecret(input.clientSecret) };
}

/**
 * Binds a grant without an app to the app with this client id, and returns its row. If no app that serves the tenant has
 * it and `mayMake` is true, the app `TENANT-PROVIDER` is created, for this tenant only. An existing app of that name
 * stays, even with another client id: untested credentials replace nothing.
 *
 * A failure is only logged, because the caller has a good token. The next refresh needs the app and reports the problem.
 */
export async function bindMissingApp(
  context: VaultContext,
  row: GrantRow,
  client: CheckedClient,
  mayMake: boolean,
): Promise<GrantRow> {
  if (row.app !== null) return row;
  const key = { tenant: row.client_id, provider: row.provider, account: row.account };
  try {
    let app = await appWith(context, key, client, null);
    if (app === null && mayMake && (await findApp(context.store.db, ownName(key))) === undefined) {
      await makeApp(context, key, client);
      app = await appWith(context, key, client, null);
    }
    if (app === null) return row;
    const { name } = app;
    await bindAppOf(context, { tenant: key.tenant, id: row.id, app: name });
    return { ...row, app: name };
  } catch (error) {
    const code = codeOf(error);
    context.logger.warn('the app of a grant could not be created or bound', {
      tenant: key.tenant,
      provider: key.provider,
      code,
    });
    return row;
  }
}

/**
 * Compares a caller's credentials with those of the grant's app. Returns undefined if they are the same, else the candidate
 * client for the next refresh.
 *
 * @throws {GrantryError} `invalid_request` if the client id is new and the name for its app is taken
 */
export async function candidateClientOf(
  context: VaultContext,
  row: GrantRow,
  client: CheckedClient,
): Promise<(CandidateClient & { readonly sameApp: boolean }) | undefined> {
  const key = { tenant: row.client_id, provider: row.provider, account: row.account };
  const fingerprint = await fingerprinter(context);
  const nameOf = (secret: Secret | null): string => (secret === null ? '' : fingerprint(secret));
  const app = await appWith(context, key, client, row.app);
  const sameApp = app !== null && app.name === row.app;
  if (sameApp) {
    const definition = await context.providers.require(row.provider);
    const dc = grantDc({ definition, metadata: metadataOf(row), app });
    const stored = secretFor(openSecrets(await pinSystemKeys(context), app), dc);
    if (nameOf(stored) === nameOf(client.clientSecret)) return undefined;
  }
  if (app === null) await assertNameIsFree(context, key, row);
  return {
    name: `${client.clientId}\0${nameOf(client.clientSecret)}`,
    ...client,
    app,
    sameApp,
    onAccepted: (grant) => storeAccepted(context, { key, row, client, app }, grant),
  };
}

/** Finds an app with this client id that serves the tenant: the grant's own, else one restricted to tenants, else the first. */
async function appWith(
  context: VaultContext,
  key: CheckedKey,
  client: CheckedClient,
  named: string | null,
): Promise<AppRow | null> {
  const all = await listAppsFor(context.store.db, key);
  const found = all.filter((app) => app.client_id === client.clientId && serves(app, key.tenant));
  return found.find((app) => app.name === named) ?? found.find((app) => app.tenants !== null) ?? found[0] ?? null;
}

interface Accepted {
  readonly key: CheckedKey;
  readonly row: GrantRow;
  readonly client: CheckedClient;
  readonly app: AppRow | null;
}

/** Stores an accepted client. The tokens are already saved, so a failure here is logged and must not fail the call. */
async function storeAccepted(
  context: VaultContext,
  accepted: Accepted,
  grant: { readonly id: string; readonly dc: string | null },
): Promise<void> {
  const { key, client, row } = accepted;
  try {
    const name = accepted.app?.name ?? ownName(key);
    const made = accepted.app === null && (await findApp(context.store.db, name)) === undefined;
    if (made) await makeApp(context, key, client);
    else await storeClient(context, name, accepted, grant.dc);
    if (row.app !== name) {
      await bindAppOf(context, { tenant: key.tenant, id: grant.id, app: name });
    }
  } catch (error) {
    const code = codeOf(error);
    context.logger.error('an accepted client could not be stored', { tenant: key.tenant, code });
  }
}

async function makeApp(context: VaultContext, key: CheckedKey, client: CheckedClient): Promise<void> {
  const { clientId, clientSecret } = client;
  const app = {
    provider: key.provider,
    clientId,
    ...(clientSecret === null ? {} : { clientSecret }),
    tenants: [key.tenant],
  };
  try {
    await putAppOf(context, ownName(key), app, { onlyNew: true });
  } catch (error) {
    // Another process created the app meanwhile. If it has other credentials, the next refresh tries this client again.
    if ((await findApp(context.store.db, ownName(key))) === undefined) throw error;
  }
}

async function storeClient(context: VaultContext, name: string, accepted: Accepted, dc: string | null): Promise<void> {
  const system = await pinSystemKeys(context);
  for (let tries = 1; ; tries += 1) {
    try {
      await changing(context, async ({ tx, recordOther }) => {
        const old = await findApp(tx, name);
        if (old === undefined) return;
        const generation = old.generation + 1;
        const secrets = mergedSecrets(openSecrets(system, old), old, accepted, dc);
        const client = { name, generation, provider: old.provider, client_id: accepted.client.clientId };
        await putApp(tx, {
          ...old,
          ...client,
          client_secrets: sealSecrets(system, client, secrets),
          updated_at: context.world.now(),
        });
        await clearBackOff(tx, name);
        recordOther({ type: 'app.put', provider: old.provider, details: { app: name, generation } });
      });
      return;
    } catch (error) {
      if (!isGrantryError(error, 'invalid_request') || tries >= triesMax) throw error;
    }
  }
}

/**
 * Merges an accepted secret, which is proven for one data centre only. In an app of this tenant it replaces the existing
 * secret. In a shared app it is added for this data centre, and the secret for all data centres stays.
 */
function mergedSecrets(
  stored: Map<string, Secret>,
  app: AppRow,
  accepted: Accepted,
  dc: string | null,
): Map<string, Secret> {
  const { clientId, clientSecret } = accepted.client;
  // Secrets belong to a client id, so those of another client id are dropped.
  const secrets = app.client_id === clientId ? new Map(stored) : new Map<string, Secret>();
  const isShared = !isOwn(app, accepted.key);
  const secretDc = dc === null || !(isShared || secrets.has(dc)) ? anyDc : dc;
  if (clientSecret !== null) secrets.set(secretDc, clientSecret);
  return secrets;
}

/** Checks that no other grant or tenant uses the app that a new client id would get. */
async function assertNameIsFree(context: VaultContext, key: CheckedKey, row: GrantRow): Promise<void> {
  const name = ownName(key);
  const existing = await findApp(context.store.db, name);
  if (existing === undefined) return;
  const others = (await countGrantsOfApp(context.store.db, name)) - (row.app === name ? 1 : 0);
  if (existing.provider === key.provider && isOwn(existing, key) && others === 0) return;
  throw invalidRequest(`No app has this client id, and the app ${name} has another client id.`, {
    action: `Add an app with this client id for ${key.tenant} under another name, or pass the client id of ${name}.`,
  });
}

function isOwn(app: AppRow, key: CheckedKey): boolean {
  return app.tenants === JSON.stringify([key.tenant]);
}

function ownName(key: CheckedKey): string {
  const name = `${key.tenant}-${key.provider}`;
  if (name.length <= limits.nameCharsMax) return checkName('app', name);
  throw invalidRequest('No app has this client id, and the name for a new app would be too long.', {
    action: `Add an app with this client id for ${key.tenant} under another name.`,
  });
}
