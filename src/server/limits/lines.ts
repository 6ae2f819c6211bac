import { GrantryError } from '../../base/errors.ts';
import type { World } from '../../base/world.ts';
import { withTimeout } from '../../vault/deadline.ts';

/** One line of a body: its text, or too long to be read. */
export type Line =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly tooLong: true };

/** Left out, the sender may take any time. */
interface Patience {
  /** How long nothing may come while something is wanted, in milliseconds. */
  readonly idleMs: number;
  readonly world: World;
}

/** Splits a body into its lines as it arrives; no line is held that is longer than the limit. Empty lines are left out. */
export async function* linesOf(
  body: ReadableStream<Uint8Array> | null,
  bytesMax: number,
  patience?: Patience,
): AsyncGenerator<Line> {
  if (body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  let skipping = false;
  let number = 1;
  for await (const chunk of chunksOf(body, patience)) {
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

async function* chunksOf(body: ReadableStream<Uint8Array>, patience: Patience | undefined): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await (patience === undefined
        ? reader.read()
        : withTimeout(patience.world, reader.read(), patience.idleMs, tooLate));
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    throw new GrantryError('invalid_request', 'The body did not arrive whole.', { cause: error });
  } finally {
    // Nobody reads on: the client is told by the connection.
    await reader.cancel().catch(() => {});
  }
}

function tooLate(): GrantryError {
  return new GrantryError('invalid_request', 'The body took too long to arrive.');
}
