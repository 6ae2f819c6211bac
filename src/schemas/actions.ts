/**
 * The commands that the actions of errors name, and the routes that do the same. The vault names commands; a server names
 * routes instead, and the command line turns those of a server back into commands.
 */
const pairs: readonly (readonly [command: RegExp, route: string, plain: string])[] = [
  [/grantry connect \S+ \S+/g, 'POST /v1/connect-sessions', 'grantry connect TENANT PROVIDER'],
  [/grantry adopt --after-restore/g, 'POST /v1/adopt with {"after_restore":true}', 'grantry adopt --after-restore'],
  [/grantry adopt/g, 'POST /v1/adopt', 'grantry adopt'],
  [
    /grantry app add NAME (?:--\S+ [^\s-]\S* ?)*/g,
    'PUT /v1/apps/{app}',
    'grantry app add NAME --provider P --client-id ID --client-secret-file FILE',
  ],
  [/grantry provider list/g, 'GET /v1/providers', 'grantry provider list'],
  [/grantry provider add FILE\.json/g, 'PUT /v1/providers/{provider}', 'grantry provider add FILE.json'],
  [/grantry provider show \S+ --json/g, 'GET /v1/providers/{provider}', 'grantry provider show PROVIDER --json'],
  [/grantry provider remove \S+/g, 'DELETE /v1/providers/{provider}', 'grantry provider remove PROVIDER'],
  [/grantry key create/g, 'POST /v1/keys', 'grantry key create'],
  [
    /grantry recover \S+ \S+/g,
    'POST /v1/tenants/{tenant}/grants/{provider}/recover',
    'grantry recover TENANT PROVIDER',
  ],
  [/grantry show/g, 'GET /v1/tenants/{tenant}/grants/{provider}', 'grantry show TENANT PROVIDER'],
];

/** Writes an action for callers of a server: with routes instead of commands. */
export function actionOverHttp(action: string): string {
  // An option has no counterpart: the member of the body has the same name.
  const plain = action.replaceAll(/ \(--\S+ on the command line\)/g, '');
  return pairs.reduce((text, [command, route]) => text.replaceAll(command, route), plain);
}

/** Longest first, because one route is the beginning of another. */
const byRoute = pairs.toSorted(([, one], [, other]) => other.length - one.length);

/** Writes a server's action for the command line: with commands instead of routes. */
export function actionAsCommand(action: string): string {
  return byRoute.reduce((text, [, route, plain]) => text.replaceAll(route, plain), action);
}
