import { codeOf, GrantryError, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkName } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { grantDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type AppRow, findApp, listAppsOfProvider, putApp } from '../../storage/statements/apps.ts';
import { bindApp, clearBackOff, countGrantsOfApp, type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { checkSecret, putAppOf, serves } from '../app/apps.ts';
import { anyDc, openSecrets, pinSystemKeys, sealSecrets, secretFor } from '../app/secrets.ts';
import { changing } from '../changing.ts';
import { checkText } from '../checks.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import type { ClientTrial } from '../refresh/client-trial.ts';

/** Client credentials as a caller hands them in. */
export interface ClientCredentials {
  clientId: string;
  /** May be left out only where the provider's clients have none. */
  clientSecret?: string | Secret | undefined;
}

/** Checked {@link ClientCredentials}. */
export interface GivenClient {
  readonly clientId: string;
  readonly clientSecret: Secret | null;
}

/** How often an app may change under a writer before it gives up. */
const triesMax = 3;

/**
 * Checks what a caller hands in. The provider's definition is asked for only where it matters: without a database there
 * may be none, and still a token in memory.
 *
 * @throws {GrantryError} `invalid_request`, never with the secret in its message
 */
export async function checkCredentials(
  input: ClientCredentials,
  definition: () => Promise<ProviderDefinition>,
): Promise<GivenClient> {
  if (input === null || typeof input !== 'object') {
    throw new GrantryError('invalid_request', 'The credentials must be an object { clientId, clientSecret }.');
  }
  const clientId = checkText('client id', input.clientId, limits.clientIdCharsMax);
  if (input.clientSecret === undefined && (await definition()).clientAuthentication === 'none') {
    return { clientId, clientSecret: null };
  }
  return { clientId, clientSecret: checkSecret(input.clientSecret) };
}

/**
 * Makes the app `TENANT-PROVIDER`, for this tenant alone, when no app that serves the tenant has this client id. An app
 * of that name with another client id stays: what was never tried replaces nothing. A failure is logged: the caller has a
 * token that is good, and the next refresh will need the app and say so.
 */
export async function makeMissingApp(context: VaultContext, key: CheckedKey, given: GivenClient): Promise<void> {
  try {
    if ((await appWith(context, key, given, null)) !== null) return;
    if ((await findApp(context.store.db, ownName(key))) === undefined) await makeApp(context, key, given);
  } catch (error) {
    const code = codeOf(error);
    context.logger.warn('no app could be made for a client', { tenant: key.tenant, provider: key.provider, code });
  }
}

/**
 * Compares what a caller hands in with what a grant refreshes with. Undefined when they are the same; else the trial that
 * the next refresh is to be.
 *
 * @throws {GrantryError} `invalid_request` when the client id is new and the name of its app is taken
 */
export async function trialOf(
  context: VaultContext,
  row: GrantRow,
  given: GivenClient,
): Promise<(ClientTrial & { readonly sameApp: boolean }) | undefined> {
  const key = { tenant: row.client_id, provider: row.provider, account: row.account };
  const fingerprint = await fingerprinter(context);
  const nameOf = (secret: Secret | null): string => (secret === null ? '' : fingerprint(secret));
  const app = await appWith(context, key, given, row.app);
  const sameApp = app !== null && app.name === row.app;
  if (sameApp) {
    const stored = secretFor(openSecrets(await pinSystemKeys(context), app), await dcOf(context, row, app));
    if (nameOf(stored) === nameOf(given.clientSecret)) return undefined;
  }
  if (app === null) await assertNameIsFree(context, key, row);
  return {
    name: `${given.clientId}\0${nameOf(given.clientSecret)}`,
    ...given,
    app,
    sameApp,
    onAccepted: (grant) => keepAccepted(context, { key, row, given, app }, grant),
  };
}

/** The app of this client id that serves the tenant: the grant's own one, else one for that tenant, else the first. */
async function appWith(
  context: VaultContext,
  key: CheckedKey,
  given: GivenClient,
  named: string | null,
): Promise<AppRow | null> {
  const all = await listAppsOfProvider(context.store.db, key.provider);
  const found = all.filter((app) => app.client_id === given.clientId && serves(app, key.tenant));
  return found.find((app) => app.name === named) ?? found.find((app) => app.tenants !== null) ?? found[0] ?? null;
}

async function dcOf(context: VaultContext, row: GrantRow, app: AppRow): Promise<string | null> {
  const definition = await context.providers.require(row.provider);
  return grantDc({ definition, metadata: metadataOf(row), app });
}

interface Accepted {
  readonly key: CheckedKey;
  readonly row: GrantRow;
  readonly given: GivenClient;
  readonly app: AppRow | null;
}

/** The provider took the client. The tokens are saved already, so nothing here may fail the call that brought them. */
async function keepAccepted(
  context: VaultContext,
  accepted: Accepted,
  grant: { readonly id: string; readonly dc: string | null },
): Promise<void> {
  const { key, given, row } = accepted;
  try {
    const name = accepted.app?.name ?? ownName(key);
    const made = accepted.app === null && (await findApp(context.store.db, name)) === undefined;
    if (made) await makeApp(context, key, given);
    else await keepClient(context, name, accepted, grant.dc);
    if (row.app !== name) await bindApp(context.store.db, { tenant: key.tenant, id: grant.id, app: name });
  } catch (error) {
    const code = codeOf(error);
    context.logger.error('a client that the provider took could not be kept', { tenant: key.tenant, code });
  }
}

async function makeApp(context: VaultContext, key: CheckedKey, given: GivenClient): Promise<void> {
  const { clientId, clientSecret } = given;
  const app = {
    provider: key.provider,
    clientId,
    ...(clientSecret === null ? {} : { clientSecret }),
    tenants: [key.tenant],
  };
  try {
    await putAppOf(context, ownName(key), app, { onlyNew: true });
  } catch (error) {
    // Another process made it meanwhile: the same one, or the next refresh is a trial again.
    if ((await findApp(context.store.db, ownName(key))) === undefined) throw error;
  }
}

async function keepClient(context: VaultContext, name: string, accepted: Accepted, dc: string | null): Promise<void> {
  const system = await pinSystemKeys(context);
  for (let tries = 1; ; tries += 1) {
    try {
      await changing(context, async ({ tx }) => {
        const old = await findApp(tx, name);
        if (old === undefined) return;
        const generation = old.generation + 1;
        const secrets = mergedSecrets(openSecrets(system, old), old, accepted, dc);
        await putApp(tx, {
          ...old,
          client_id: accepted.given.clientId,
          client_secrets: sealSecrets(system, { name, generation }, secrets),
          generation,
          updated_at: context.world.now(),
        });
        await clearBackOff(tx, name);
      });
      return;
    } catch (error) {
      if (!isGrantryError(error, 'invalid_request') || tries >= triesMax) throw error;
    }
  }
}

/**
 * A secret is proven for one data centre. In an app of this tenant alone it takes the place of the one that stood there;
 * an app that others use too gets it for this data centre beside the one for all.
 */
function mergedSecrets(
  stored: Map<string, Secret>,
  app: AppRow,
  accepted: Accepted,
  dc: string | null,
): Map<string, Secret> {
  const { clientId, clientSecret } = accepted.given;
  // Secrets of another client id are of no use to this one.
  const secrets = app.client_id === clientId ? new Map(stored) : new Map<string, Secret>();
  const alone = isOwn(app, accepted.key);
  const place = dc === null || (alone && !secrets.has(dc)) ? anyDc : dc;
  if (clientSecret !== null) secrets.set(place, clientSecret);
  return secrets;
}

/** The app that a new client id will get must be ours to give it to. */
async function assertNameIsFree(context: VaultContext, key: CheckedKey, row: GrantRow): Promise<void> {
  const name = ownName(key);
  const standing = await findApp(context.store.db, name);
  if (standing === undefined) return;
  const others = (await countGrantsOfApp(context.store.db, name)) - (row.app === name ? 1 : 0);
  if (standing.provider === key.provider && isOwn(standing, key) && others === 0) return;
  throw new GrantryError('invalid_request', `No app has this client id, and the app ${name} has another one.`, {
    action: `Add an app with this client id for ${key.tenant} under another name, or hand in the other client id.`,
  });
}

function isOwn(app: AppRow, key: CheckedKey): boolean {
  return app.tenants === JSON.stringify([key.tenant]);
}

function ownName(key: CheckedKey): string {
  const name = `${key.tenant}-${key.provider}`;
  if (name.length <= limits.nameCharsMax) return checkName('app', name);
  throw new GrantryError(
    'invalid_request',
    'No app has this client id, and the name of an app for it would be too long.',
    {
      action: `Add an app with this client id for ${key.tenant} under another name.`,
    },
  );
}
