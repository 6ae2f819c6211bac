import { TextDecoder } from 'node:util';

/** A part of a file's text, short enough for memory. */
export interface Piece {
  readonly text: string;
  /** Lines before this piece. */
  readonly linesBefore: number;
  /** A secret that begins here or later stands whole in the next piece, and is reported there. */
  readonly ownEnd: number;
}

const pieceChars = 1_048_576;
/** The longest secret that two pieces may share. */
const overlapChars = 16_384;
/** As many bytes as git looks at. */
const probeBytes = 8_000;

/** Cuts a file into pieces that overlap. An empty file is one empty piece. A binary file has none; text in UTF-16 is text. */
export async function* piecesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  let decoder: TextDecoder | null = null;
  let text = '';
  let linesBefore = 0;
  for await (const chunk of chunks) {
    if (decoder === null) {
      const encoding = encodingOf(chunk);
      if (encoding === null) return;
      decoder = new TextDecoder(encoding);
    }
    text += decoder.decode(chunk, { stream: true });
    while (text.length > pieceChars + overlapChars) {
      yield { text: text.slice(0, pieceChars + overlapChars), linesBefore, ownEnd: pieceChars };
      linesBefore += linesIn(text, pieceChars);
      text = text.slice(pieceChars);
    }
  }
  text += decoder?.decode() ?? '';
  yield { text, linesBefore, ownEnd: text.length };
}

/** Counts the line ends before a place of a text. */
export function linesIn(text: string, end: number): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

/** Null for a binary file. */
function encodingOf(first: Uint8Array): string | null {
  if (first[0] === 0xff && first[1] === 0xfe) return 'utf-16le';
  if (first[0] === 0xfe && first[1] === 0xff) return 'utf-16be';
  return first.subarray(0, probeBytes).includes(0) ? null : 'utf-8';
}
