import { GrantryError } from '../errors.ts';

/** One line of a body: its text, or the fact that it is too long to be read. */
export type Line =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly tooLong: true };

/** Limits how long one read of a body may take. */
export type ReadLimit = <T>(read: Promise<T>) => Promise<T>;

/**
 * Splits a body into its lines as it arrives. A line longer than the limit is skipped, never held. Empty lines are left
 * out.
 *
 * @param limit left out, the sender may take any time
 */
export async function* linesOf(
  body: ReadableStream<Uint8Array> | null,
  bytesMax: number,
  limit: ReadLimit = (read) => read,
): AsyncGenerator<Line> {
  if (body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  let skipping = false;
  let number = 1;
  for await (const chunk of chunksOf(body, limit)) {
    const pieces = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = pieces.pop() ?? '';
    for (const piece of pieces) {
      const line = skipping || piece.length > bytesMax ? { number, tooLong: true as const } : { number, text: piece };
      skipping = false;
      number += 1;
      if ('tooLong' in line || line.text.trim() !== '') yield line;
    }
    if (rest.length > bytesMax) {
      skipping = true;
      rest = '';
    }
  }
  rest += decoder.decode();
  if (skipping) yield { number, tooLong: true };
  else if (rest.trim() !== '') yield { number, text: rest };
}

/** Reads a body chunk by chunk. @throws {GrantryError} `invalid_request` when it breaks off */
export async function* chunksOf(body: ReadableStream<Uint8Array>, limit: ReadLimit): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await limit(reader.read());
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    throw new GrantryError('invalid_request', 'The body is incomplete.', { cause: error });
  } finally {
    // The sender learns from the connection that the rest is not read.
    await reader.cancel().catch(() => {});
  }
}
