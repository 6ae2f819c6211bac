import { resolveDc } from '../../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../../providers/definition.ts';
import type { App } from '../../../vault/types.ts';
import { readScopeReasons, splitScopeOptions } from '../../scope-options.ts';
import { usageError } from '../../terminal/errors.ts';
import type { OnboardOptions } from './options.ts';

/**
 * Asserts that the options of a new app say the same as the app that is there. It is never changed here, so an option that
 * says something else must not pass unseen.
 *
 * @param redirectUri the app's own, or the one that the server has for it
 * @throws {GrantryError} `invalid_request` that names the first option that differs, and how the app is changed
 */
export function assertSameApp(
  app: App,
  definition: ProviderDefinition,
  { options, redirectUri }: { options: OnboardOptions; redirectUri: string },
): void {
  const { clientId, dc, scope, scopeReason, code } = options;
  if (clientId !== undefined && clientId !== app.clientId) {
    throw differs(app, '--client-id', 'has another client id', ' ID');
  }
  // With a code, the data centre is that of the code: it may be another one than the app's.
  if (dc !== undefined && code === undefined && resolveDc(definition, dc) !== app.dc) {
    throw differs(app, '--dc', app.dc === null ? 'has no data centre' : `is registered in ${app.dc}`, ' DC');
  }
  if (options.redirectUri !== undefined && options.redirectUri !== redirectUri) {
    throw differs(app, '--redirect-uri', `has the redirect URI ${redirectUri}`, ' URI');
  }
  const scopes = splitScopeOptions(scope);
  if (scopes !== undefined && !isSameSet(scopes, app.scopes)) {
    throw differs(app, '--scope', `asks for ${app.scopes.join(' ') || 'no scopes'}`, ' SCOPE');
  }
  const reasons = Object.entries(readScopeReasons(scopeReason ?? []));
  if (reasons.some(([name, reason]) => (app.scopeReasons[name] ?? '') !== reason)) {
    throw differs(app, '--scope-reason', 'has another reason for a scope, or none', ' SCOPE=TEXT');
  }
  // A stored secret is never read, so it cannot be compared.
  if (options.clientSecretFile !== undefined) {
    throw differs(app, '--client-secret-file', 'keeps the client secret that it has', ' FILE');
  }
}

function differs({ name }: App, option: string, words: string, value: string) {
  return usageError(
    `The app ${name} ${words}, and stays as it is.`,
    `Leave ${option} out; or change the app with grantry app add ${name} ${option}${value}, or name another app with --app.`,
  );
}

/** A provider may spell the case of a scope in its own way. */
function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  const textOf = (scopes: readonly string[]) => [...new Set(scopes.map((each) => each.toLowerCase()))].sort().join(' ');
  return textOf(some) === textOf(others);
}
