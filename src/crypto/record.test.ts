import { createSecretKey, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type OpenInput, openRecord, type SealInput, sealRecord } from './record.ts';

const key = createSecretKey(randomBytes(32));
const context = ['vault', 'acme', 'oauth_tokens', 'row-1', 'refresh_token', '7'];
const plaintext = Buffer.from('FAKE-refresh-token');

function seal(changes: Partial<SealInput> = {}): string {
  return sealRecord({
    purpose: 'record',
    key,
    keyVersion: 1,
    context,
    salt: randomBytes(32),
    plaintext,
    ...changes,
  });
}

function outcome(text: string, changes: Partial<OpenInput> = {}): string {
  const opened = openRecord({ purpose: 'record', findKey: () => key, context, text, ...changes });
  return opened.outcome === 'opened' ? opened.plaintext.toString('utf8') : opened.outcome;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice(5), 'base64url');
}

function textOf(bytes: Uint8Array): string {
  return `gry1.${Buffer.from(bytes).toString('base64url')}`;
}

describe('a record', () => {
  test('opens with what it was sealed with, at 90 bytes more', () => {
    const text = seal();
    expect(outcome(text)).toBe('FAKE-refresh-token');
    expect(bytesOf(text)).toHaveLength(plaintext.length + 90);
  });

  test('never looks the same twice', () => {
    const records = Array.from({ length: 100 }, () => bytesOf(seal()));
    // Only the header is equal: the salt and everything after it differ, even with one key.
    for (const start of [10, 42, 74]) {
      expect(new Set(records.map((record) => record.toString('hex', start, start + 16))).size).toBe(100);
    }
  });

  test('is refused after any single-bit flip', () => {
    const original = bytesOf(seal());
    let refused = 0;
    for (let bit = 0; bit < original.length * 8; bit += 1) {
      const flipped = Buffer.from(original);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (['damaged', 'wrong_key'].includes(outcome(textOf(flipped)))) refused += 1;
    }
    expect(refused).toBe((plaintext.length + 90) * 8);
  });

  test('is refused after any truncation, and with a byte more at either end', () => {
    const original = bytesOf(seal());
    for (let length = 0; length < original.length; length += 1) {
      expect(outcome(textOf(original.subarray(0, length)))).toMatch(/^(damaged|wrong_key)$/);
      expect(outcome(textOf(original.subarray(original.length - length)))).toMatch(/^(damaged|wrong_key)$/);
    }
    expect(outcome(textOf(Buffer.concat([original, Buffer.of(0)])))).toBe('damaged');
    expect(outcome(textOf(Buffer.concat([Buffer.of(0), original])))).toBe('damaged');
  });

  test('is refused with any part of its context changed, dropped, added or swapped', () => {
    const text = seal();
    for (const index of context.keys()) {
      expect(outcome(text, { context: context.with(index, `${context[index]}x`) })).toBe('damaged');
      expect(outcome(text, { context: context.toSpliced(index, 1) })).toBe('damaged');
      expect(outcome(text, { context: context.toSpliced(index, 0, '') })).toBe('damaged');
    }
    expect(outcome(text, { context: context.toReversed() })).toBe('damaged');
  });

  test('says when only the key is another', () => {
    expect(outcome(seal(), { findKey: () => createSecretKey(randomBytes(32)) })).toBe('wrong_key');
  });

  test('is refused when its key version is unknown', () => {
    expect(outcome(seal({ keyVersion: 3 }), { findKey: (version) => (version === 3 ? key : undefined) })).toBe(
      'FAKE-refresh-token',
    );
    expect(outcome(seal({ keyVersion: 3 }), { findKey: () => undefined })).toBe('damaged');
  });

  test('of one purpose does not open as the other', () => {
    expect(outcome(seal({ purpose: 'wrap' }))).toBe('wrong_key');
    expect(outcome(seal(), { purpose: 'wrap' })).toBe('wrong_key');
  });

  test('is not made from a key version, salt or context that it cannot carry', () => {
    for (const keyVersion of [0, -1, 1.5, Number.NaN, 2 ** 32]) expect(() => seal({ keyVersion })).toThrow('Assertion');
    expect(() => seal({ salt: randomBytes(31) })).toThrow('Assertion');
    expect(() => seal({ context: ['\ud800'] })).toThrow('Assertion');
  });
});

describe('properties', () => {
  const contexts = fc.array(fc.string({ unit: 'grapheme', maxLength: 12 }), { minLength: 1, maxLength: 6 });

  test('a record opens again, for any bytes and any context', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5_000 }), contexts, (bytes, parts) => {
        const opened = openRecord({
          purpose: 'record',
          findKey: () => key,
          context: parts,
          text: seal({ plaintext: bytes, context: parts }),
        });
        expect(opened).toEqual({ outcome: 'opened', plaintext: Buffer.from(bytes) });
      }),
    );
  });

  test('a context never opens the record of another, even if both join to the same text', () => {
    const cut = fc.tuple(fc.string({ maxLength: 12 }), fc.nat(12), fc.nat(12));
    fc.assert(
      fc.property(cut, ([whole, first, second]) => {
        const split = (at: number): string[] => [whole.slice(0, at), whole.slice(at)];
        fc.pre(split(first)[0] !== split(second)[0]);
        expect(outcome(seal({ context: split(first) }), { context: split(second) })).toBe('damaged');
      }),
    );
  });

  test('no text but the one that was made opens', () => {
    const text = seal();
    const edit = fc.record({ at: fc.nat(text.length), remove: fc.nat(3), insert: fc.string({ maxLength: 3 }) });
    fc.assert(
      fc.property(edit, ({ at, remove, insert }) => {
        const edited = text.slice(0, at) + insert + text.slice(at + remove);
        fc.pre(edited !== text);
        expect(outcome(edited)).toMatch(/^(damaged|wrong_key)$/);
      }),
      { numRuns: 1_000 },
    );
  });

  test('no text at all makes opening throw', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary-ascii' }),
      fc.uint8Array({ maxLength: 300 }).map(textOf),
      fc.uint8Array({ maxLength: 200 }).map((tail) => textOf(Buffer.concat([Buffer.from('GRY\u0001\0\u0001'), tail]))),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(outcome(text)).toMatch(/^(damaged|wrong_key)$/);
      }),
    );
  });
});
