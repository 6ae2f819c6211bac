import { z } from 'zod';
import { auditActorSchema, auditDetailsSchema, auditOutcomes } from './audit.ts';
import { page } from './page.ts';
import { thing, time } from './thing.ts';

export const historyKinds = ['change', 'attempt', 'hand_out'] as const;

const example = {
  at: '2026-11-22T08:41:12.000Z',
  kind: 'attempt',
  action: 'refresh.saved',
  generation: 2,
  outcome: 'ok',
  reason: null,
  actor: null,
  source: null,
  count: null,
  took_ms: 412,
  details: null,
};

export const historyItemSchema = thing(
  { id: 'HistoryItem', description: "One line of a grant's life.", example },
  {
    at: time,
    /** `change`: of the grant. `attempt`: a refresh. `hand_out`: of tokens, or calls with them, in one minute. */
    kind: z.enum(historyKinds).meta({
      description:
        '`change`: of the grant. `attempt`: a refresh. `hand_out`: of tokens, or calls with them, in one minute.',
    }),
    /** The action of the audit log; of an attempt `refresh.` and its end, such as `refresh.saved`. */
    action: z.string().meta({
      description: 'The action of the audit log; of an attempt `refresh.` and its end, such as `refresh.saved`.',
    }),
    generation: z.int().nullable(),
    outcome: z.enum(auditOutcomes),
    /** The vault's word for why, the provider's error code, or the reason that a person gave. */
    reason: z.string().nullable().meta({
      description: "The vault's word for why, the provider's error code, or the reason that a person gave.",
    }),
    /** `null` for an attempt. */
    actor: auditActorSchema.nullable(),
    source: z.string().nullable(),
    count: z.int().nullable(),
    /** The time from the claim to the end of an attempt, in milliseconds. */
    tookMs: z.int().nullable().meta({
      description: 'The time from the claim to the end of an attempt, in milliseconds.',
    }),
    details: auditDetailsSchema.nullable(),
  },
);

/** One line of a grant's life. */
export interface HistoryItem extends Readonly<z.output<typeof historyItemSchema>> {}

export const historyPageSchema = page('HistoryPage', "A grant's life, the newest first.", historyItemSchema, example);

/** One page of a grant's life. */
export interface HistoryPage extends Readonly<z.output<typeof historyPageSchema>> {}
