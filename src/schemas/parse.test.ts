import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { parse } from './parse.ts';

const shape = z.strictObject({
  refresh_token: z.string(),
  tenants: z.union([z.array(z.string()), z.literal('*')]).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  count: z.int().optional(),
});

describe('the error of a body tells what to correct', () => {
  it.each([
    [{ refreshToken: 'secret' }, 'Unknown field in the body: refreshToken.'],
    [{}, 'The body at refresh_token is missing.'],
    [undefined, 'The body is missing.'],
    ['secret', 'The body is not valid: it must be an object.'],
    [{ refresh_token: 7 }, 'The body at refresh_token is not valid: it must be a text.'],
    [{ refresh_token: null }, 'The body at refresh_token is not valid: it must be a text.'],
    [{ refresh_token: '', tenants: 'acme' }, 'The body at tenants is not valid: it must be a list, or *.'],
    [{ refresh_token: '', tenants: [7] }, 'The body at tenants is not valid: it does not have the right form.'],
    [{ refresh_token: '', metadata: [] }, 'The body at metadata is not valid: it must be an object.'],
    [{ refresh_token: '', count: 0.5 }, 'The body at count is not valid: it must be a whole number.'],
  ])('%j', (value, message) => {
    expect(() => parse(shape, value, 'body')).toThrow(message);
  });
});
