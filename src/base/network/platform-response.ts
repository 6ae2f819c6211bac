import { GrantryError } from '../errors.ts';

/** Statuses whose answers have no body (Fetch standard). */
const bare = new Set([101, 103, 204, 205, 304]);

/**
 * Converts an answer of the HTTP client to the platform's class, for callers that use `instanceof`. A body that breaks off
 * fails with a typed error, or with the signal's reason when the caller ended the call.
 *
 * @param peer names the other side in the error, such as "The provider's API"
 */
export function platformResponse(response: Response, peer: string, signal: AbortSignal | undefined): Response {
  const { status, statusText, body } = response;
  const headers = new Headers([...response.headers]);
  if (body === null || bare.has(status)) return new Response(null, { status, statusText, headers });
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  const guarded = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(signal?.aborted === true ? signal.reason : brokenOff(peer, error));
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(guarded, { status, statusText, headers });
}

/** The error of an answer that ended too early, or whose next bytes are no HTTP. */
export function brokenOff(peer: string, cause: unknown): GrantryError {
  if (isParserError(cause)) {
    // Without the cause: the parser's own error carries the peer's bytes.
    return new GrantryError('provider_error', `${peer} sent an answer that is no valid HTTP.`, {
      reason: 'unusable_answer',
    });
  }
  return new GrantryError('provider_unavailable', `${peer} closed the connection before the end of its answer.`, {
    cause,
  });
}

/** True for a failure of the HTTP client's parser. It often has no code. */
function isParserError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'HTTPParserError' || isParserError(error.cause);
}

/** Waits for a result, or until the signal is aborted: then its reason is thrown, as the caller made it. */
export async function untilAborted<Result>(signal: AbortSignal | undefined, pending: Promise<Result>): Promise<Result> {
  if (signal === undefined) return pending;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([pending, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
