import { expect, test } from 'vitest';
import { readBounded } from './bounded.ts';

function bodyOf(...parts: (string | Error)[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: (controller) => {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else if (part instanceof Error) controller.error(part);
      else controller.enqueue(Buffer.from(part));
    },
  });
}

test.each([
  ['no body', null, '', true],
  ['a body of the exact limit', bodyOf('ab', 'cd'), 'abcd', true],
  ['a body that is too long', bodyOf('ab', 'cde'), 'abcd', false],
  ['a body that breaks off', bodyOf('ab', new Error('cut')), 'ab', false],
])('%s gives its bytes up to the limit', async (_, body, text, whole) => {
  const read = await readBounded(body, 4);
  expect({ text: read.bytes.toString(), whole: read.whole }).toEqual({ text, whole });
});

test('a peer that never lets go of its stream does not delay the caller', async () => {
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(Buffer.from('abc')),
    cancel: () => new Promise(() => {}),
  });
  expect((await readBounded(endless, 4)).bytes.toString()).toBe('abca');
});
