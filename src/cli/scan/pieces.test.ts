import { expect, test } from 'vitest';
import { AllowList } from './allow-list.ts';
import type { Linter } from './linter.ts';
import { piecesOf } from './pieces.ts';
import { scanAll } from './scan.ts';
import type { Source } from './sources.ts';

async function* chunks(text: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size);
}

async function textOf(bytes: Uint8Array): Promise<string> {
  let text = '';
  for await (const piece of piecesOf(chunks(bytes, 7))) text += piece.text.slice(0, piece.ownEnd);
  return text;
}

/** Finds the word "secret", with what the largest text was that it saw. */
function wordLinter(): { lint: Linter; largest: () => number } {
  let largest = 0;
  return {
    largest: () => largest,
    lint: async (text) => {
      largest = Math.max(largest, text.length);
      return [...text.matchAll(/secret/g)].map(({ index }) => ({ rule: 'word', start: index, end: index + 6 }));
    },
  };
}

async function* one(source: Source): AsyncGenerator<Source> {
  yield source;
}

test('a large file is read in pieces, and a secret on their border is found once, with its line', async () => {
  const line = `${'x'.repeat(99)}\n`;
  const before = line.repeat(10_485);
  // The first piece ends in the middle of the word.
  const start = `${before}${'y'.repeat(1_048_576 - before.length - 3)}secret\n`;
  const bytes = new TextEncoder().encode(`${start}${line.repeat(20_000)}secret\n`);
  const { lint, largest } = wordLinter();
  const source: Source = { file: 'big.txt', read: () => chunks(bytes, 65_536) };
  const result = await scanAll(one(source), { lint, allowList: new AllowList([], 0), count: () => {} });
  expect(result.findings.map((each) => each.line)).toEqual([10_486, 30_487]);
  expect(largest()).toBeLessThan(1_100_000);
});

test('text in UTF-8 and UTF-16 is read', async () => {
  const text = 'größe = 1\n';
  expect(await textOf(new TextEncoder().encode(text))).toBe(text);
  expect(await textOf(Buffer.from(`\ufeff${text}`, 'utf16le'))).toBe(text);
});

test('a binary file has no piece', async () => {
  const source: Source = { file: 'a.png', read: () => chunks(Uint8Array.of(1, 0, 2), 3) };
  const { lint } = wordLinter();
  const result = await scanAll(one(source), { lint, allowList: new AllowList([], 0), count: () => {} });
  expect(result).toMatchObject({ findings: [], files: 0, passedOver: 1 });
});
