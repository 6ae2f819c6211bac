import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { parseJson } from '../../base/network/bounded-json.ts';
import { chunksOf, type ReadLimit } from '../../base/network/lines.ts';
import { isStorableJson } from '../../base/storable.ts';
import type { World } from '../../base/world.ts';
import { withTimeout } from '../../vault/deadline.ts';
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
  const text = await readText(request, world, { bytesMax: limits.requestBodyBytesMax, ms: limits.requestBodyMs });
  const value = parseJson(text);
  // Only an escape brings such a character into JSON. PostgreSQL would refuse it in the middle of a request.
  if (text.includes('\\u') && !isStorableJson(JSON.stringify(value))) {
    throw new GrantryError('invalid_request', 'The body contains a NUL character or invalid Unicode.');
  }
  return value;
}

/**
 * Reads a form body. A name that comes twice is refused (RFC 6749 section 3.2).
 *
 * @throws {GrantryError} `invalid_request`, `payload_too_large`
 */
export async function readForm(request: Request, world: World): Promise<Record<string, string>> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/x-www-form-urlencoded\b/i.test(type)) {
    throw new GrantryError('invalid_request', 'The body must be a form (application/x-www-form-urlencoded).');
  }
  const text = await readText(request, world, { bytesMax: limits.formBytesMax, ms: limits.formMs });
  // Counted before they are parsed.
  if (text.split('&', limits.formFieldsMax + 1).length > limits.formFieldsMax) {
    throw new GrantryError('invalid_request', `The form has more than ${limits.formFieldsMax} fields.`);
  }
  return onceEach(new URLSearchParams(text), 'form field');
}

/** Returns parameters as an object without a prototype. @throws {GrantryError} `invalid_request` when a name comes twice */
export function onceEach(parameters: URLSearchParams, what: string): Record<string, string> {
  const found: Record<string, string> = Object.create(null);
  for (const [name, value] of parameters) {
    if (name in found) throw new GrantryError('invalid_request', `A ${what} is given more than once.`);
    found[name] = value;
  }
  return found;
}

async function readText(
  request: Request,
  world: World,
  { bytesMax, ms }: { bytesMax: number; ms: number },
): Promise<string> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  if (declared > bytesMax) throw tooLarge(bytesMax);
  if (request.body === null) return '';
  const endsAt = world.monotonic() + ms;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const inTime: ReadLimit = (read) => withTimeout(world, read, endsAt - world.monotonic(), bodyTooSlow);
  for await (const chunk of chunksOf(request.body, inTime)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
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

export function bodyTooSlow(): GrantryError {
  return withStatus(new GrantryError('invalid_request', 'The body took too long to arrive.'), 408);
}

function tooLarge(bytesMax: number): GrantryError {
  return new GrantryError('payload_too_large', `The body is larger than ${bytesMax} bytes.`);
}
