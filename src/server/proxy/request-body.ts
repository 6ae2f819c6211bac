import type { IncomingMessage } from 'node:http';
import { type Readable, Transform } from 'node:stream';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { World } from '../../base/world.ts';
import { withTimeout } from '../../vault/deadline.ts';
import { bodyTooSlow } from '../limits/body.ts';
import type { Watched } from './watch.ts';

/** A request's body on its way to a provider. */
export interface RequestBody {
  /** Returns the body for one attempt. A body that is not kept can be sent once. */
  send(): Uint8Array | Readable | null;
  canRepeat(): boolean;
  /** The length that the caller declared, for a body that is passed on as it arrives. */
  readonly declaredLength: string | undefined;
}

interface BodyOptions {
  readonly world: World;
  readonly watched: Watched;
  /** Ends the call: the body is too large, or the caller went away. */
  readonly abort: (reason: GrantryError) => void;
}

/**
 * Takes a request's body. A small body is read completely, so that it can be sent twice and a slow caller holds no connection
 * to the provider. Any other body is passed on as it arrives, no faster than the provider reads it.
 *
 * @throws {GrantryError} `payload_too_large`, and `invalid_request` for a body that is too slow or incomplete
 */
export async function takeBody(request: IncomingMessage, options: BodyOptions): Promise<RequestBody> {
  const declared = request.headers['content-length'];
  const isChunked = request.headers['transfer-encoding'] !== undefined;
  if (!isChunked && (declared === undefined || declared === '0')) {
    options.watched.requestEnded();
    return { send: () => null, canRepeat: () => true, declaredLength: undefined };
  }
  if (!isChunked && Number(declared) > limits.proxyBodyBytesMax) throw tooLarge();
  if (isChunked || Number(declared) > limits.proxyRepeatBytesMax) return passing(request, declared, options);
  const bytes = await readSmall(request, options.world);
  options.watched.requestEnded();
  return { send: () => bytes, canRepeat: () => true, declaredLength: undefined };
}

function passing(request: IncomingMessage, declaredLength: string | undefined, options: BodyOptions): RequestBody {
  const body = new PassingBody(options);
  request.pipe(body);
  // The caller disconnected: the part that was sent must not look like the whole body.
  request.once('close', () => {
    if (!request.complete) body.destroy(new Error('the caller went away'));
  });
  let isFirst = true;
  return {
    send: () => {
      if (!isFirst) return body.kept();
      isFirst = false;
      return body;
    },
    canRepeat: () => body.kept() !== null,
    declaredLength,
  };
}

/** Counts the bytes that pass, and keeps them while they are few: a short body of unknown length can be sent again, too. */
class PassingBody extends Transform {
  readonly #options: BodyOptions;
  #kept: Buffer[] | null = [];
  #bytes = 0;
  #isWhole = false;

  constructor(options: BodyOptions) {
    super();
    this.#options = options;
    // Readers get the error; this handler only prevents an unhandled 'error' event after they are gone.
    this.on('error', () => {});
  }

  kept(): Buffer | null {
    return this.#isWhole && this.#kept !== null ? Buffer.concat(this.#kept) : null;
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: Error | null, chunk?: Buffer) => void,
  ): void {
    this.#options.watched.touch();
    this.#bytes += chunk.length;
    if (this.#bytes > limits.proxyBodyBytesMax) {
      const reason = tooLarge();
      this.#options.abort(reason);
      done(reason);
      return;
    }
    if (this.#bytes > limits.proxyRepeatBytesMax) this.#kept = null;
    this.#kept?.push(chunk);
    done(null, chunk);
  }

  override _flush(done: () => void): void {
    this.#isWhole = true;
    this.#options.watched.requestEnded();
    done();
  }
}

/** Reads a body with a small declared length; the parser ensures that it is not longer. */
async function readSmall(request: IncomingMessage, world: World): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => resolve(Buffer.concat(chunks)));
  const cut = (): void => reject(new GrantryError('invalid_request', 'The body is incomplete.'));
  request.on('error', cut).on('close', cut);
  return withTimeout(world, promise, limits.requestBodyMs, bodyTooSlow);
}

function tooLarge(): GrantryError {
  return new GrantryError('payload_too_large', `The body is larger than ${limits.proxyBodyBytesMax} bytes.`);
}
