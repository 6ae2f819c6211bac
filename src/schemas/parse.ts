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
  const issue = parsed.error.issues[0];
  if (issue?.code === 'unrecognized_keys') throw new GrantryError('invalid_request', unknownFields(where, issue.keys));
  const place = issue === undefined || issue.path.length === 0 ? where : `${where} at ${issue.path.join('.')}`;
  throw new GrantryError('invalid_request', `The ${place} is not valid: ${describeIssue(issue)}.`);
}

/** Names only fields that are a few words, in either spelling; anything else may be a secret in the wrong place. */
function unknownFields(where: string, keys: readonly string[]): string {
  const names = keys.filter((key) => key.length <= 40 && /^[a-z]+(?:_[a-z]+|[A-Z][a-z]+)*$/.test(key));
  return names.length === 0 ? `Unknown field in the ${where}.` : `Unknown field in the ${where}: ${names.join(', ')}.`;
}

function describeIssue(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'it does not have the right form';
  if (issue.code === 'invalid_type') return `it must be ${issue.expected}`;
  if (issue.code === 'invalid_value') return `it must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_big') return `it is larger than ${String(issue.maximum)}`;
  if (issue.code === 'too_small') return `it is smaller than ${String(issue.minimum)}`;
  return 'it does not have the right form';
}
