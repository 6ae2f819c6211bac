import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { type CallMethod, callMethods } from '../../schemas/words.ts';
import { allowsPath, covers, type PathGlob, parsePathGlob, readCallPath } from './path-glob.ts';

/** The limits of the API calls of a key. */
export interface CallRules {
  /** `null`: all. */
  readonly methods: ReadonlySet<string> | null;
  /** `null`: all. */
  readonly paths: readonly PathGlob[] | null;
}

/** An API call, as the caller of the proxy wrote it. */
export interface WrittenCall {
  readonly method: string;
  /** Path and query, without any decoding. */
  readonly path: string;
  /** The host that the caller names instead of the usual one. */
  readonly host: string | undefined;
  /** The headers that the API gets: names and values in turn. */
  readonly headers: readonly string[];
}

/** Headers and parameters with which a server takes another method, path or host than the request line says. */
const overrides = /method|verb|override|original|rewrite|script-name|(?:^|-)(?:path|uri|url)(?:-|$)|(?:^|-)host$/;
const overridesInQuery = /^-(?:method|verb)-?$|^x-(?:method|verb)|http-?(?:method|verb)|override/;

/** Compiles the rules of a key; null for a key without any. The texts were checked when the key was made. */
export function callRulesOf(key: {
  readonly methods: readonly string[] | null;
  readonly paths: readonly string[] | null;
}): CallRules | null {
  if (key.methods === null && key.paths === null) return null;
  return {
    methods: key.methods === null ? null : new Set(key.methods),
    paths: key.paths?.map(parsePathGlob) ?? null,
  };
}

/**
 * Checks that the rules of a key allow a call. A call that a server behind the proxy may read differently is
 * refused under any rules.
 *
 * @throws {GrantryError} `forbidden`
 */
export function assertAllowed(rules: CallRules, call: WrittenCall): void {
  if (rules.methods !== null && !rules.methods.has(call.method)) {
    throw forbidden(`This API key may not use ${call.method}.`, `It may use ${[...rules.methods].join(', ')}.`);
  }
  const odd = overriding(call);
  if (odd !== undefined)
    throw forbidden(`This API key may not send the ${odd}, which may change the call.`, leaveItOut);
  if (rules.paths === null) return;
  const segments = readCallPath(call.path);
  if (segments === null) {
    throw forbidden(
      'This API key may only call plain paths.',
      'Leave out dot segments, ;, double slashes, and %2F and its kin.',
    );
  }
  const host = call.host?.toLowerCase() ?? null;
  if (rules.paths.some((glob) => allowsPath(glob, host, segments))) return;
  throw forbidden(
    'This API key may not call that path.',
    `It may call ${rules.paths.map(({ text }) => text).join(', ')}.`,
  );
}

const leaveItOut = 'Leave it out, or use a key without methods and paths.';

/** The header or parameter that may change the method or path of a call. */
function overriding({ path, headers }: WrittenCall): string | undefined {
  for (let at = 0; at < headers.length; at += 2) {
    const name = plainName(headers[at] ?? '');
    if (overrides.test(name) && name !== 'access-control-request-method') return `header ${name}`;
  }
  const query = /\?(.*)$/s.exec(path)?.[1] ?? '';
  // Some servers end a parameter at a semicolon, too.
  const names = query.split(/[&;?]/).flatMap((part) => [...new URLSearchParams(part).keys()]);
  const named = names.some((name) => overridesInQuery.test(plainName(name)));
  return named ? 'query parameter for another method' : undefined;
}

/** Some servers take an underscore, a dot, a space or a bracket in a name for one another, or for a hyphen. */
function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
}

function forbidden(message: string, action: string): GrantryError {
  return new GrantryError('forbidden', message, { action });
}

/** Checks the methods of a key that is made or changed. */
export function checkMethods(given: readonly string[] | null | undefined): CallMethod[] | null {
  if (given === undefined || given === null) return null;
  const found = Array.isArray(given) ? given.map((method) => callMethods.find((known) => known === method)) : [];
  const known = found.filter((method) => method !== undefined);
  if (known.length > 0 && known.length === found.length) return [...new Set(known)];
  throw invalidRequest(`A key's methods must be a list of ${callMethods.join(', ')}.`, {
    action: 'Name at least one method, or leave the methods out for all.',
  });
}

/** Checks the paths of a key that is made or changed. */
export function checkPaths(given: readonly string[] | null | undefined): string[] | null {
  if (given === undefined || given === null) return null;
  if (!Array.isArray(given) || given.length === 0 || given.length > limits.apiKeyPathsMax) {
    throw invalidRequest(`A key's paths must be a list of 1 to ${limits.apiKeyPathsMax} patterns.`, {
      action: 'Name at least one path, or leave the paths out for all.',
    });
  }
  return [...new Set(given.map((path) => parsePathGlob(path).text))];
}

/** Tells whether every path of a list is within another list. */
export function pathsWithin(narrow: readonly string[] | null, wide: readonly string[] | null): boolean {
  if (wide === null) return true;
  if (narrow === null) return false;
  const allowed = wide.map(parsePathGlob);
  return narrow.map(parsePathGlob).every((path) => allowed.some((glob) => covers(glob, path)));
}
