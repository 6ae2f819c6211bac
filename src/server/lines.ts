import { GrantryError } from '../base/errors.ts';

/** One line of a body: its text, or too long to be read. */
export type Line =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly tooLong: true };

/** Splits a body into its lines as it arrives; no line is held that is longer than the limit. Empty lines are left out. */
export async function* linesOf(body: ReadableStream<Uint8Array> | null, bytesMax: number): AsyncGenerator<Line> {
  if (body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  let skipping = false;
  let number = 1;
  for await (const chunk of chunksOf(body)) {
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

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw new GrantryError('invalid_request', 'The body did not arrive whole.', { cause: error });
  } finally {
    // Nobody reads on: the client is told by the connection.
    await reader.cancel().catch(() => {});
  }
}
