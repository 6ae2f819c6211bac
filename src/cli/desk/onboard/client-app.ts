import { isGrantryError } from '../../../base/errors.ts';
import { type CheckedKey, checkName } from '../../../base/ids.ts';
import { redirectUriAt } from '../../../base/network/callback-uri.ts';
import type { Secret } from '../../../base/secret.ts';
import { dcNames, resolveDc } from '../../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../../providers/definition.ts';
import type { App, Vault } from '../../../vault/types.ts';
import { chooseApp } from '../../choose-app.ts';
import { parseSecretSources, promptSecret, readSecrets } from '../../client-secrets.ts';
import { loopbackRedirectUri } from '../../commands/app.ts';
import type { Context } from '../../context.ts';
import { noteScopeFindings, readScopeReasons, splitScopeOptions } from '../../scope-options.ts';
import { usageError } from '../../terminal/errors.ts';
import { canPrompt, promptLine } from '../../terminal/prompt.ts';
import { assertSameApp } from './kept-app.ts';
import type { OnboardOptions } from './options.ts';
import type { Steps } from './steps.ts';

interface NewApp {
  readonly name: string;
  readonly key: CheckedKey;
  readonly definition: ProviderDefinition;
}

/**
 * The first two steps: the app of the client and its redirect URI. An app that serves the client is kept as it is; a new one
 * serves only this client.
 *
 * @throws {GrantryError} `invalid_request` that names the missing option, or the app that is there and differs from the options
 */
export async function clientApp(
  context: Context,
  vault: Vault,
  { key, definition }: Omit<NewApp, 'name'>,
  { options, steps }: { options: OnboardOptions; steps: Steps },
): Promise<App> {
  const name = checkName('app', options.app ?? `${key.tenant}-${key.provider}`);
  const { clientId } = options;
  const serving = options.app === undefined ? await servingApp(vault, key) : null;
  const isServing = serving !== null && (clientId === undefined || serving.clientId === clientId);
  const found = isServing ? serving : await vault.apps.get(name);
  if (found === null) return makeApp(context, vault, { name, key, definition }, { options, steps });
  if (found.provider !== key.provider) {
    throw usageError(`The app ${found.name} is for ${found.provider}.`, 'Name another app with --app.');
  }
  const redirectUri = redirectUriAt(context.settings.publicUrl, found);
  assertSameApp(found, definition, { options, redirectUri });
  steps.tell('app', 'kept', appText(found));
  steps.tell('redirect URI', 'kept', redirectUri);
  return found;
}

async function servingApp(vault: Vault, key: CheckedKey): Promise<App | null> {
  try {
    return await chooseApp(vault, key, undefined);
  } catch (error) {
    if (isGrantryError(error) && error.reason === 'no_app') return null;
    throw error;
  }
}

async function makeApp(
  context: Context,
  vault: Vault,
  made: NewApp,
  { options, steps }: { options: OnboardOptions; steps: Steps },
): Promise<App> {
  const { name, key, definition } = made;
  const ownsUri = options.redirectUri ?? (isServersOwn(context) ? undefined : loopbackRedirectUri);
  if (options.clientId === undefined) noteRegistration(context, made, ownsUri);
  const dc = await dcOf(definition, options);
  const clientId =
    options.clientId ??
    (await ask('Client id: ', {
      flag: '--client-id',
      why: `The new app ${name} needs the client id that the provider issues.`,
    }));
  const clientSecrets = await secretsOf(made, options);
  const scopes = await scopesOf(definition, options);
  const { provider, tenant } = key;
  const secrets = Object.keys(clientSecrets).length === 0 ? {} : { clientSecrets };
  const input = { provider, clientId, ...secrets, dc, redirectUri: ownsUri, scopes, tenants: [tenant] };
  const scopeReasons = readScopeReasons(options.scopeReason ?? []);
  const app = await vault.apps.put(name, { ...input, scopeReasons });
  noteScopeFindings(context.output, app.warnings);
  steps.tell('app', 'done', appText(app));
  const uri = redirectUriAt(context.settings.publicUrl, app);
  if (options.code === undefined) steps.tell('redirect URI', 'done', `${uri} (the provider must know it)`);
  else steps.tell('redirect URI', 'done', 'a self client needs none');
  return app;
}

/** True where a server makes the redirect URI when it stores the app. */
function isServersOwn({ settings }: Context): boolean {
  return settings.server !== undefined || settings.isPublicUrlGiven;
}

/** The console of a provider asks for the redirect URI before it issues a client id. */
function noteRegistration({ output }: Context, { name, definition }: NewApp, uri: string | undefined): void {
  const provider = definition.name ?? definition.id;
  output.note(`${name} is new. Register an application in the console of ${provider}, with this redirect URI:`);
  output.note(`  ${uri ?? 'the server makes it: give any client id now, and the real one with grantry app add later'}`);
}

async function dcOf(definition: ProviderDefinition, { dc, code }: OnboardOptions): Promise<string | undefined> {
  const names = dcNames(definition);
  if (dc !== undefined) return resolveDc(definition, dc);
  if (names.length < 2 || code !== undefined) return undefined;
  const written = await ask(`Data centre of the application (${names.join(', ')}): `, {
    flag: '--dc',
    why: 'A new app needs the data centre in which it was registered.',
  });
  return resolveDc(definition, written);
}

async function secretsOf({ name, definition }: NewApp, options: OnboardOptions): Promise<Record<string, Secret>> {
  const sources = parseSecretSources(options.clientSecretFile ?? []);
  if (sources.length > 0) return readSecrets(sources);
  if (definition.clientAuthentication === 'none') return {};
  if (canPrompt()) return promptSecret(`app ${name}`);
  throw missing('--client-secret-file', `The new app ${name} needs its client secret.`);
}

/** The scopes of a new app. A self client has chosen them with its code. */
async function scopesOf(definition: ProviderDefinition, options: OnboardOptions): Promise<string[]> {
  const usual = definition.api.health?.scope;
  const given = splitScopeOptions(options.scope);
  if (given !== undefined) return given;
  if (options.code !== undefined || usual === undefined) return [];
  if (!canPrompt()) throw missing('--scope', 'The consent needs the scopes that the client is asked for.');
  const written = await promptLine(`Scopes, with spaces between them (Enter for ${usual}): `, { secret: false });
  return splitScopeOptions([written === '' ? usual : written]) ?? [];
}

async function ask(question: string, { flag, why }: { flag: string; why: string }): Promise<string> {
  if (!canPrompt()) throw missing(flag, why);
  const answer = await promptLine(question, { secret: false });
  if (answer === '') throw missing(flag, why);
  return answer;
}

function missing(flag: string, why: string) {
  return usageError(why, `Add ${flag}, or run the command on a terminal, where it asks.`);
}

function appText({ name, provider, dc }: App): string {
  return `${name} (${provider}${dc === null ? '' : `, registered in ${dc}`})`;
}
