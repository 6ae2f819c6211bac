import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { accountField, providerField, tenantField } from '../schemas/thing.ts';

/** The path parameters of a grant's routes. */
export const grantParams = z.object({ tenant: tenantField, provider: providerField });

export const accountQuery = z.strictObject({ account: accountField.optional() });

/** A number of seconds as text. */
const secondsText = z
  .string()
  .regex(/^\d{1,8}$/)
  .transform(Number)
  .pipe(z.number().max(limits.minValiditySecondsMax))
  .meta({
    description: 'Seconds for which the token must be good; 60 when left out.',
    type: 'integer',
    examples: [300],
  });

export const tokenQuery = accountQuery.extend({ min_validity: secondsText.optional() });

/** The query parameters of every list that comes in pages. */
export const pageQuery = z.strictObject({
  cursor: z.string().max(1_024).optional().meta({ description: 'The `next_cursor` of the page before.' }),
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.number().min(1).max(limits.pageItemsMax))
    .optional()
    .meta({ description: 'Items per page; 100 when left out.', type: 'integer', examples: [100] }),
});
