import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { World } from '../../base/world.ts';
import { withStatus } from '../problem.ts';

/**
 * Reads a JSON body within its limits of size, time and depth.
 *
 * @throws {GrantryError} `invalid_request`, `payload_too_large`
 */
export async function readJson(request: Request, world: World): Promise<unknown> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(type)) {
    throw new GrantryError('invalid_request', 'The body must be JSON, with the content type application/json.');
  }
  return parseJson(await readText(request, world));
}

/** Reads a form body, as OAuth's token endpoint takes it; a name that comes twice is refused (RFC 6749 section 3.2). */
export async function readForm(request: Request, world: World): Promise<Record<string, string>> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/x-www-form-urlencoded\b/i.test(type)) {
    throw new GrantryError('invalid_request', 'The body must be a form (application/x-www-form-urlencoded).');
  }
  return onceEach(new URLSearchParams(await readText(request, world)), 'form field');
}

/** Parameters as an object without a prototype. @throws {GrantryError} `invalid_request` when a name comes twice */
export function onceEach(parameters: URLSearchParams, what: string): Record<string, string> {
  const found: Record<string, string> = Object.create(null);
  for (const [name, value] of parameters) {
    if (name in found) throw new GrantryError('invalid_request', `A ${what} is given more than once.`);
    found[name] = value;
  }
  return found;
}

/** JSON of bounded depth. The parser's own messages quote the text, which may hold a secret, so they go nowhere. */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new GrantryError('invalid_request', 'The body is not valid JSON.');
  }
  if (depthOf(value, limits.requestJsonDepthMax) > limits.requestJsonDepthMax) {
    throw new GrantryError('invalid_request', `The JSON is nested deeper than ${limits.requestJsonDepthMax} levels.`);
  }
  if (membersOf(value) > limits.requestJsonMembersMax) {
    throw new GrantryError('invalid_request', `The JSON has more than ${limits.requestJsonMembersMax} members.`);
  }
  return value;
}

async function readText(request: Request, world: World): Promise<string> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > limits.requestBodyBytesMax) throw tooLarge();
  if (request.body === null) return '';
  const reader = request.body.getReader();
  const enough = new AbortController();
  const late = world.sleep(limits.requestBodyMs, enough.signal, { background: true }).then(
    () => 'late' as const,
    () => 'over' as const,
  );
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const read = await Promise.race([reader.read(), late]);
      if (read === 'late' || read === 'over') {
        throw withStatus(new GrantryError('invalid_request', 'The body took too long to arrive.'), 408);
      }
      if (read.done) break;
      bytes += read.value.length;
      if (bytes > limits.requestBodyBytesMax) throw tooLarge();
      chunks.push(read.value);
    }
  } catch (error) {
    await reader.cancel().catch(() => {});
    if (error instanceof GrantryError) throw error;
    throw new GrantryError('invalid_request', 'The body did not arrive whole.', { cause: error });
  } finally {
    enough.abort(new Error('the body was read'));
  }
  return decode(Buffer.concat(chunks));
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new GrantryError('invalid_request', 'The body is not UTF-8.', { cause: error });
  }
}

function depthOf(value: unknown, most: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (most < 0) return 1;
  let deepest = 0;
  for (const child of Object.values(value)) deepest = Math.max(deepest, depthOf(child, most - 1));
  return deepest + 1;
}

/** Of all objects and arrays in it, of which the depth is known to be bounded. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const children = Object.values(value);
  return children.reduce((sum: number, child) => sum + membersOf(child), children.length);
}

function tooLarge(): GrantryError {
  return new GrantryError('payload_too_large', `The body is larger than ${limits.requestBodyBytesMax} bytes.`);
}
