/**
 * The commands that the actions of errors name, and the routes that do the same. The vault names commands; a server names
 * routes instead, and the command line turns those of a server back into commands.
 */
const pairs: readonly { readonly command: RegExp; readonly route: string; readonly plain: string }[] = [
  {
    command: /grantry connect \S+ \S+/g,
    route: 'POST /v1/connect-sessions',
    plain: 'grantry connect TENANT PROVIDER',
  },
  {
    command: /grantry adopt --after-restore/g,
    route: 'POST /v1/adopt with {"after_restore":true}',
    plain: 'grantry adopt --after-restore',
  },
  { command: /grantry adopt/g, route: 'POST /v1/adopt', plain: 'grantry adopt' },
  {
    command: /grantry app add NAME (?:--\S+ [^\s-]\S* ?)*/g,
    route: 'PUT /v1/apps/{app}',
    plain: 'grantry app add NAME --provider P --client-id ID --client-secret-file FILE',
  },
  { command: /grantry provider list/g, route: 'GET /v1/providers', plain: 'grantry provider list' },
  {
    command: /grantry provider add FILE\.json/g,
    route: 'PUT /v1/providers/{provider}',
    plain: 'grantry provider add FILE.json',
  },
  {
    command: /grantry provider show \S+ --json/g,
    route: 'GET /v1/providers/{provider}',
    plain: 'grantry provider show PROVIDER --json',
  },
  {
    command: /grantry provider remove \S+/g,
    route: 'DELETE /v1/providers/{provider}',
    plain: 'grantry provider remove PROVIDER',
  },
  { command: /grantry key create/g, route: 'POST /v1/keys', plain: 'grantry key create' },
  {
    command: /grantry show/g,
    route: 'GET /v1/tenants/{tenant}/grants/{provider}',
    plain: 'grantry show TENANT PROVIDER',
  },
];

/** Writes an action for callers of a server: with routes instead of commands. */
export function actionOverHttp(action: string): string {
  return pairs.reduce((text, { command, route }) => text.replaceAll(command, route), action);
}

/** One route begins with another one: the longer is looked for first. */
const byRoute = pairs.toSorted((one, other) => other.route.length - one.route.length);

/** Writes a server's action for the command line: with commands instead of routes. */
export function actionAsCommand(action: string): string {
  return byRoute.reduce((text, { route, plain }) => text.replaceAll(route, plain), action);
}
