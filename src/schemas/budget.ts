import { z } from 'zod';
import { thing, time } from './thing.ts';

export const budgetSchema = thing(
  {
    id: 'TokenBudget',
    description: "The token requests that a provider allows for a grant's refresh token, and those that were made.",
    example: { used: 3, requests: 10, window_seconds: 600, next_at: '2026-11-22T08:51:12.000Z' },
  },
  {
    /** Requests within the window, of all processes and of all grants that hold the token. */
    used: z.int().meta({ description: 'Requests within the window, of all grants that hold the token.' }),
    /** The number that the provider allows in each window. */
    requests: z.int().meta({ description: 'The number that the provider allows in each window.' }),
    /** The length of the window in seconds. */
    windowSeconds: z.int().meta({ description: 'The length of the window in seconds.' }),
    /** When the oldest request leaves the window, so that one more is allowed; `null` while none counts. */
    nextAt: time.nullable().meta({
      description: 'When the oldest request leaves the window, so that one more is allowed; `null` while none counts.',
    }),
  },
);

/** The token requests that a provider allows for a grant's refresh token, and those that were made. */
export interface TokenBudget extends Readonly<z.output<typeof budgetSchema>> {}

export const budgetAnswerSchema = thing(
  {
    id: 'BudgetOfGrant',
    description: "What is left of the provider's limit for a grant.",
    example: { budget: { used: 3, requests: 10, window_seconds: 600, next_at: '2026-11-22T08:51:12.000Z' } },
  },
  {
    /** `null` where the provider states no limit. */
    budget: budgetSchema.nullable().meta({ description: '`null` where the provider states no limit.' }),
  },
);
