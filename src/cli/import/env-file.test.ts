import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GrantryError } from '../../base/errors.ts';
import { parseEnvFile } from './env-file.ts';

function parsed(text: string | Uint8Array): Record<string, string> {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return Object.fromEntries(parseEnvFile(bytes, 'x.env').values);
}

describe('what consultancies write', () => {
  test.each<[string, string, Record<string, string>]>([
    ['plain', 'A=1\nB=two\n', { A: '1', B: 'two' }],
    ['no line end at the end', 'A=1', { A: '1' }],
    ['export', 'export A=1\n  export\tB = 2 ', { A: '1', B: '2' }],
    ['Windows line ends', 'A=1\r\nB=2\r\n', { A: '1', B: '2' }],
    ['old Macintosh line ends', 'A=1\rB=2', { A: '1', B: '2' }],
    ['byte order mark', '\ufeffA=1', { A: '1' }],
    ['comments and blanks', '# A=0\n\n   # x\nA=1 # why\nB=#gone', { A: '1', B: '' }],
    ['a number sign inside a value', 'A=a#b', { A: 'a#b' }],
    ['spaces round the sign', '  A  =  1  ', { A: '1' }],
    ['an equals sign inside', 'A=b=c==', { A: 'b=c==' }],
    ['single quotes', "A='x # $Y \\n \"'", { A: 'x # $Y \\n "' }],
    ['double quotes', 'A="x # \\"y\\" \\\\ \\n"', { A: 'x # "y" \\ \n' }],
    ['a comment after a quote', 'A="x" # y', { A: 'x' }],
    ['a value over several lines', 'A="-----BEGIN\nxyz\n-----END"\nB=1', { A: '-----BEGIN\nxyz\n-----END', B: '1' }],
    ['nothing is expanded', 'A=${B}$(id)`id`', { A: '${B}$(id)`id`' }],
    ['empty', 'A=\nB=""', { A: '', B: '' }],
    ['an empty file', '', {}],
  ])('%s', (_, text, expected) => {
    expect(parsed(text)).toEqual(expected);
  });

  test('the last of several counts, and repetition is told', () => {
    const file = parseEnvFile(Buffer.from('A=1\nB=1\nA=2\nB=1'), 'x.env');
    expect([file.values.get('A'), file.repeated]).toEqual(['2', ['A']]);
  });
});

describe('what cannot be read is refused without being repeated', () => {
  test.each<[string, string | Uint8Array, RegExp]>([
    ['no assignment', 'A=1\nhunter2', /^Line 2 of x\.env/],
    ['a name with spaces', 'MY hunter2=1', /^Line 1 of/],
    ['an open quote', 'A=1\n\nB="hunter2\n\n', /quote in line 3 .* not closed/],
    ['text after a quote', 'A="1" hunter2', /has text after/],
    ['binary', Uint8Array.of(0x41, 0x3d, 0, 1, 2), /not text/],
    ['not UTF-8', Uint8Array.of(0x41, 0x3d, 0xff, 0xfe), /not text/],
  ])('%s', (_, text, message) => {
    const thrown = errorOf(() => parsed(text));
    expect(thrown.code).toBe('invalid_request');
    expect(thrown.message).toMatch(message);
    expect(thrown.message).not.toContain('hunter2');
  });

  test('any bytes give values or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          parseEnvFile(bytes, 'x.env');
        } catch (error) {
          expect(error).toBeInstanceOf(GrantryError);
        }
      }),
    );
  });
});

test('any value survives quoting', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      fc.pre(!/[\r\0]/.test(value) && Buffer.from(value).toString() === value);
      expect(parsed(`A="${value.replace(/["\\]/g, '\\$&')}"`)).toEqual({ A: value });
    }),
  );
});

function errorOf(call: () => unknown): GrantryError {
  try {
    call();
  } catch (error) {
    if (error instanceof GrantryError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
