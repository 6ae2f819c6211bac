/** The words for a newcomer about a body with a hole in it: those of JSON, never those of the validator. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { parseProviderDefinition } from '../providers/parse.ts';
import { parse } from './parse.ts';

const shape = z.strictObject({
  metadata: z.record(z.string(), z.string()).optional(),
  name: z.string().optional().nonoptional(),
  count: z.int().optional(),
  isOn: z.boolean().optional(),
  list: z.array(z.string()).optional(),
  role: z.enum(['reader', 'admin']).optional(),
  either: z.union([z.string(), z.array(z.string())]).optional(),
  star: z.union([z.array(z.string()), z.literal('*')]).optional(),
});
const whole = { name: 'a' };

it.each([
  [undefined, 'The body is not valid: it is missing, and must be an object.'],
  [[], 'The body is not valid: it must be an object.'],
  [{}, 'The body at name is not valid: it is missing.'],
  [{ name: 7 }, 'The body at name is not valid: it must be a text.'],
  [{ ...whole, metadata: 'm' }, 'The body at metadata is not valid: it must be an object.'],
  [{ ...whole, metadata: { a: 7 } }, 'The body at metadata.a is not valid: it must be a text.'],
  [{ ...whole, count: 'c' }, 'The body at count is not valid: it must be a number.'],
  [{ ...whole, count: 1.5 }, 'The body at count is not valid: it must be a whole number.'],
  [{ ...whole, isOn: 'yes' }, 'The body at isOn is not valid: it must be true or false.'],
  [{ ...whole, list: {} }, 'The body at list is not valid: it must be a list.'],
  [{ ...whole, role: 'root' }, 'The body at role is not valid: it must be one of reader, admin.'],
  [{ ...whole, either: 7 }, 'The body at either is not valid: it must be a text, or a list.'],
  [{ ...whole, star: 'acme' }, 'The body at star is not valid: it must be a list, or *.'],
  [{ ...whole, star: [7] }, 'The body at star is not valid: it does not have the right form.'],
  [{ nome: 'secret' }, 'Unknown field in the body: nome.'],
])('says what is wrong with %j', (value, message) => {
  expect(() => parse(shape, value, 'body')).toThrow(message);
});

it('says what is missing where only an object is left out', () => {
  const update = z.object({ metadata: z.record(z.string(), z.unknown()) });
  expect(() => parse(update, {}, 'body')).toThrow(
    'The body at metadata is not valid: it is missing, and must be an object.',
  );
});

it('says the same of a definition', () => {
  expect(() => parseProviderDefinition({ id: 'x', endpoints: { token: 7 }, api: 'a' })).toThrow(
    /^The provider definition is not valid: it must be a text at endpoints\.token; it must be an object at api/,
  );
});
