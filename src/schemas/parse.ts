import type { z } from 'zod';
import { GrantryError } from '../base/errors.ts';

/**
 * Parses a value from outside. The error says where the value is wrong and never repeats it: it may be a secret.
 *
 * @param where the part of the request, such as `body`
 * @throws {GrantryError} `invalid_request`
 */
export function parse<Shape extends z.ZodType>(shape: Shape, value: unknown, where: string): z.output<Shape> {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const unknown = issues.find((each) => each.code === 'unrecognized_keys');
  // A misspelt field is missing under its right name too. What the caller wrote says more than what the caller did not.
  if (unknown !== undefined) throw new GrantryError('invalid_request', unknownFields(where, unknown.keys));
  const issue = issues[0];
  const place = issue === undefined || issue.path.length === 0 ? where : `${where} at ${issue.path.join('.')}`;
  if (issue !== undefined && isMissing(value, issue.path))
    throw new GrantryError('invalid_request', `The ${place} is missing.`);
  throw new GrantryError('invalid_request', `The ${place} is not valid: ${describeIssue(issue)}.`);
}

/** Names only fields that are a few words, in either spelling; anything else may be a secret in the wrong place. */
function unknownFields(where: string, keys: readonly string[]): string {
  const names = keys.filter((key) => key.length <= 40 && /^[a-z]+(?:_[a-z]+|[A-Z][a-z]+)*$/.test(key));
  return names.length === 0 ? `Unknown field in the ${where}.` : `Unknown field in the ${where}: ${names.join(', ')}.`;
}

function isMissing(value: unknown, path: readonly PropertyKey[]): boolean {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null) return false;
    at = Reflect.get(at, part);
  }
  return at === undefined;
}

/** The words of zod for kinds, in plain English. */
const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
};

function describeIssue(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'it does not have the right form';
  if (issue.code === 'invalid_type') return `it must be ${kinds[issue.expected] ?? issue.expected}`;
  if (issue.code === 'invalid_union') return describeUnion(issue.errors);
  if (issue.code === 'invalid_value') return `it must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_big') return `it is larger than ${String(issue.maximum)}`;
  if (issue.code === 'too_small') return `it is smaller than ${String(issue.minimum)}`;
  return 'it does not have the right form';
}

/** Names every form that a union takes, unless one of them cannot be said in a few words. */
function describeUnion(branches: readonly (readonly z.core.$ZodIssue[])[]): string {
  const said = branches.map((issues) => describeIssue(issues.find(({ path }) => path.length === 0)));
  const forms = said.map((text) => /^it must be (?:one of )?(.*)$/.exec(text)?.[1]);
  if (forms.length === 0 || forms.includes(undefined)) return 'it does not have the right form';
  return `it must be ${[...new Set(forms)].join(', or ')}`;
}
