import { invalidRequest } from '../errors.ts';
import { parseWithLongNumbers } from '../exact-json.ts';
import { limits } from '../limits.ts';

/**
 * Parses JSON of bounded depth and size. A long number, such as an id in metadata, keeps its digits as a text. The parser's
 * own messages quote the text, which may hold a secret, so they are dropped.
 *
 * @throws {GrantryError} `invalid_request`
 */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRequest('The body is not valid JSON.');
  }
  if (depthOf(value, limits.requestJsonDepthMax) > limits.requestJsonDepthMax) {
    throw invalidRequest(`The JSON is nested deeper than ${limits.requestJsonDepthMax} levels.`);
  }
  if (membersOf(value) > limits.requestJsonMembersMax) {
    throw invalidRequest(`The JSON has more than ${limits.requestJsonMembersMax} members.`);
  }
  // Only now, as this way of parsing recurses.
  return /\d{16}/.test(text) ? parseWithLongNumbers(text) : value;
}

function depthOf(value: unknown, most: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (most < 0) return 1;
  let deepest = 0;
  for (const child of Object.values(value)) deepest = Math.max(deepest, depthOf(child, most - 1));
  return deepest + 1;
}

/** Counts the members of all objects and arrays in a value of bounded depth. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const children = Object.values(value);
  return children.reduce((sum: number, child) => sum + membersOf(child), children.length);
}
