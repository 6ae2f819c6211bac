import type { z } from 'zod';
import { GrantryError } from '../base/errors.ts';
import { issueWords } from '../base/issue-words.ts';

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
  if (issue === undefined) throw new GrantryError('invalid_request', `The ${where} is not valid.`);
  const place = issue.path.length === 0 ? where : `${where} at ${issue.path.join('.')}`;
  throw new GrantryError('invalid_request', `The ${place} is not valid: ${issueWords(issue, value)}.`);
}

/** Names only fields that are a few words, in either spelling; anything else may be a secret in the wrong place. */
function unknownFields(where: string, keys: readonly string[]): string {
  const names = keys.filter((key) => key.length <= 40 && /^[a-z]+(?:_[a-z]+|[A-Z][a-z]+)*$/.test(key));
  return names.length === 0 ? `Unknown field in the ${where}.` : `Unknown field in the ${where}: ${names.join(', ')}.`;
}
