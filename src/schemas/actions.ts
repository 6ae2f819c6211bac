/** A name in a command. A token that stood in its place is hidden behind two words. */
const name = String.raw`(?:\[not shown\]|[^\s"])+`;

/**
 * The commands that the actions of errors name, and the routes that do the same. The vault names commands; a server names
 * routes instead, and the command line turns those of a server back into commands.
 */
const pairs: readonly (readonly [command: RegExp, route: string, plain: string])[] = [
  [new RegExp(`grantry connect ${name} ${name}`, 'g'), 'POST /v1/connect-sessions', 'grantry connect TENANT PROVIDER'],
  [/grantry adopt --after-restore/g, 'POST /v1/adopt with {"after_restore":true}', 'grantry adopt --after-restore'],
  [/grantry adopt/g, 'POST /v1/adopt', 'grantry adopt'],
  [
    /grantry app add NAME (?:--\S+ [^\s-]\S* ?)*/g,
    'PUT /v1/apps/{app}',
    'grantry app add NAME --provider P --client-id ID --client-secret-file FILE',
  ],
  [/grantry provider list/g, 'GET /v1/providers', 'grantry provider list'],
  [/grantry provider add FILE\.json/g, 'PUT /v1/providers/{provider}', 'grantry provider add FILE.json'],
  [
    new RegExp(`grantry provider show ${name} --json`, 'g'),
    'GET /v1/providers/{provider}',
    'grantry provider show PROVIDER --json',
  ],
  [
    new RegExp(`grantry provider remove ${name}`, 'g'),
    'DELETE /v1/providers/{provider}',
    'grantry provider remove PROVIDER',
  ],
  [/grantry key create/g, 'POST /v1/keys', 'grantry key create'],
  [
    new RegExp(`grantry recover ${name} ${name}`, 'g'),
    'POST /v1/tenants/{tenant}/grants/{provider}/recover',
    'grantry recover TENANT PROVIDER',
  ],
  [/grantry show/g, 'GET /v1/tenants/{tenant}/grants/{provider}', 'grantry show TENANT PROVIDER'],
];

/** The account of a command about one grant: its route, what takes the option's place there, and how to read that again. */
const accountForms: readonly (readonly [option: RegExp, form: string, written: RegExp])[] = [
  [
    new RegExp(`(connect-sessions) --account (${name})`, 'g'),
    '$1 with {"account":"$2"}',
    new RegExp(`(connect-sessions) with {"account":"(${name})"}`, 'g'),
  ],
  [
    new RegExp(`(/recover) --account (${name})`, 'g'),
    '$1?account=$2',
    new RegExp(`(/recover)\\?account=(${name})`, 'g'),
  ],
];

/** Writes an action for callers of a server: with routes instead of commands. */
export function actionOverHttp(action: string): string {
  // An option has no counterpart: the member of the body has the same name.
  const plain = action.replaceAll(/ \(--\S+ on the command line\)/g, '');
  const routes = pairs.reduce((text, [command, route]) => text.replaceAll(command, route), plain);
  return accountForms.reduce((text, [option, form]) => text.replaceAll(option, form), routes);
}

/** Longest first, because one route is the beginning of another. */
const byRoute = pairs.toSorted(([, one], [, other]) => other.length - one.length);

/** Writes a server's action for the command line: with commands instead of routes. */
export function actionAsCommand(action: string): string {
  const told = accountForms.reduce((text, [, , written]) => text.replaceAll(written, '$1 --account $2'), action);
  return byRoute.reduce((text, [, route, plain]) => text.replaceAll(route, plain), told);
}
