import { invalidRequest } from '../errors.ts';
import type { World, WorldRequest } from '../world.ts';
import { multipart } from './multipart.ts';

/** Everything that a call to an API may send. */
export type CallBody =
  | string
  | URLSearchParams
  | FormData
  | Blob
  | ArrayBuffer
  | ArrayBufferView
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>;

/** A body that is ready to be sent, and the headers that belong to it. */
export interface ReadyBody {
  /** Returns the body for one attempt. */
  send(): NonNullable<WorldRequest['body']> | null;
  /** False for a stream: the first attempt has consumed it. */
  readonly canRepeat: boolean;
  /** Null if the HTTP client says it. */
  readonly contentType: string | null;
  /** The bytes of a body that is sent as a stream although its length is known; else null. */
  readonly contentLength: number | null;
  /** The reason why the caller's own stream failed while it was sent; undefined if it did not. */
  failure(): unknown;
}

/**
 * Prepares the body of a call.
 *
 * @throws {GrantryError} `invalid_request` for a value that cannot be sent, instead of sending its name
 */
export function readyBody(body: unknown, world: Pick<World, 'randomBytes'>): ReadyBody {
  if (body === undefined || body === null) return repeatable(() => null);
  if (typeof body === 'string') return repeatable(() => body);
  if (body instanceof URLSearchParams) {
    const text = body.toString();
    return repeatable(() => text, 'application/x-www-form-urlencoded;charset=UTF-8');
  }
  if (body instanceof Uint8Array) return repeatable(() => body);
  if (body instanceof ArrayBuffer) return repeatable(() => new Uint8Array(body));
  if (ArrayBuffer.isView(body)) {
    const { buffer, byteOffset, byteLength } = body;
    return repeatable(() => new Uint8Array(buffer, byteOffset, byteLength));
  }
  if (body instanceof Blob) return ofBlob(body, body.type === '' ? null : body.type);
  if (isFormData(body)) {
    const boundary = `grantry-${Buffer.from(world.randomBytes(16)).toString('hex')}`;
    return ofBlob(multipart(body, boundary), `multipart/form-data; boundary=${boundary}`);
  }
  if (isAsyncIterable(body)) return ofStream(body);
  throw invalidRequest('The body is of a kind that cannot be sent.', {
    action: 'Pass a text, bytes, a Blob, FormData, URLSearchParams or a stream; write an object with JSON.stringify.',
  });
}

function repeatable(send: ReadyBody['send'], contentType: string | null = null): ReadyBody {
  return { send, canRepeat: true, contentType, contentLength: null, failure: () => undefined };
}

function ofBlob(blob: Blob, contentType: string | null): ReadyBody {
  return { ...repeatable(() => blob.stream(), contentType), contentLength: blob.size };
}

function ofStream(chunks: AsyncIterable<unknown>): ReadyBody {
  if (chunks instanceof ReadableStream && chunks.locked) {
    throw invalidRequest('The body is a stream that another reader has begun to read.');
  }
  let failure: unknown;
  const note = (error: unknown): void => {
    failure = error;
  };
  const send = () => ReadableStream.from(bytesOf(chunks, note));
  return { send, canRepeat: false, contentType: null, contentLength: null, failure: () => failure };
}

async function* bytesOf(chunks: AsyncIterable<unknown>, note: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of chunks) {
      if (typeof chunk === 'string') yield Buffer.from(chunk);
      else if (chunk instanceof Uint8Array) yield chunk;
      else throw invalidRequest('The stream of the body yields chunks that are neither bytes nor text.');
    }
  } catch (error) {
    note(error);
    throw error;
  }
}

/** Also recognises the class of another copy of the HTTP client, which `instanceof` does not. */
function isFormData(body: unknown): body is FormData {
  if (typeof body !== 'object' || body === null) return false;
  return body instanceof FormData || (tagOf(body) === 'FormData' && 'entries' in body && 'getAll' in body);
}

function isAsyncIterable(body: unknown): body is AsyncIterable<unknown> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}

function tagOf(body: object): string {
  return Object.prototype.toString.call(body).slice('[object '.length, -1);
}
