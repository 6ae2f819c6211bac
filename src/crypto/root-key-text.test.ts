import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeKeyText, encodeKeyText, weaknessOf } from './root-key-text.ts';

function decode(text: string): string | undefined {
  return decodeKeyText(Buffer.from(text, 'latin1'))?.toString('hex');
}

describe('the text form', () => {
  test('agrees with base64 for every length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (bytes) => {
        const expected = Buffer.from(bytes);
        expect(encodeKeyText(bytes).toString('latin1')).toBe(`${expected.toString('base64')}\n`);
        for (const text of [expected.toString('base64'), expected.toString('base64url')]) {
          for (const end of ['', '\n', '\r\n']) expect(decode(text + end)).toBe(expected.toString('hex'));
        }
      }),
    );
  });

  test('is refused with anything else in it', () => {
    const text = randomBytes(32).toString('base64').replaceAll(/[+/]/g, 'A').slice(0, 42);
    const good = `${text}A=`;
    expect(decode(good)).toBeDefined();
    const bad = [
      '',
      '\n',
      '=',
      `${text}B=`, // a bit left over
      `${text}A==`,
      `${text}A=A`,
      ` ${good}`,
      `${good} `,
      `\n${good}`,
      `${good}\n# comment`,
      `${text.slice(0, 20)}\n${text.slice(20)}A=`,
      `${text.slice(0, -1)}é=`,
      `0x${good}`.replace('x', '!'),
    ];
    for (const one of bad) expect([one, decode(one)]).toEqual([one, undefined]);
  });
});

describe('a weak key', () => {
  const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
  const weak: Readonly<Record<string, [Uint8Array, RegExp]>> = {
    'of 31 bytes': [randomBytes(31), /31 bytes/],
    'of 33 bytes': [randomBytes(33), /33 bytes/],
    'of zeros': [Buffer.alloc(32), /few/],
    'of one byte, repeated': [Buffer.alloc(32, 0xa7), /few/],
    'of fifteen different bytes': [Buffer.from(ascending.map((byte) => 128 + (byte % 15))), /few/],
    'that repeats 16 bytes': [
      Buffer.alloc(32, Buffer.from(ascending.map((byte) => 255 - byte * byte * 8 - byte)).subarray(0, 16)),
      /repeats/,
    ],
    'that counts up': [ascending, /sequence/],
    'that counts down in steps of 7': [Buffer.from(ascending.map((byte) => 256 - 7 * byte)), /sequence/],
    'that is a passphrase': [Buffer.from('correct horse battery staple 123'), /text/],
    'that is a passphrase and a line end': [Buffer.from('correct horse battery staple 12\n'), /text/],
    'that is a passphrase in Greek': [Buffer.from('ανοιξεσησαμιωων1'.padEnd(18, '!')).subarray(0, 32), /text/],
    'that is hexadecimal text': [Buffer.from(randomBytes(16).toString('hex')), /text/],
  };
  test.each(Object.entries(weak))('%s is refused', (_, [key, reason]) => {
    expect(weaknessOf(key)).toMatch(reason);
  });

  test('is not found among random ones', () => {
    for (let round = 0; round < 20_000; round += 1) expect(weaknessOf(randomBytes(32))).toBeUndefined();
  });
});
