import { readFileSync } from 'node:fs';
import { z } from 'zod';

const measuredTestSchema = z.object({
  /** File and full name. */
  name: z.string(),
  /** The time that it took without a mutant. */
  ms: z.number(),
  /** The mutants that would have made a difference in it. */
  seen: z.array(z.number()),
  /** Why it failed without a mutant. */
  error: z.string().optional(),
});

/** A test, or a seed of a world, that ran without a mutant. */
export type Measured = z.output<typeof measuredTestSchema>;

const jobSchema = z.object({
  mode: z.enum(['measure', 'hunt']),
  /** The file that gets a line of JSON for each thing that happens. */
  out: z.string(),
  /** All that can be asked, without those that fail when no mutant is in effect. */
  checks: z.array(measuredTestSchema),
  /** Each with the checks, by their place in `checks`, that let it live before. */
  mutants: z.array(z.object({ id: z.number(), file: z.string(), passed: z.array(z.number()) })),
  /** Which check noticed which mutant so far: neighbours are noticed by the same. */
  noticed: z.array(z.object({ mutant: z.number(), check: z.string() })),
  /** A run that did not end in the last process: first it must be shown to end without the mutant. */
  hung: z.object({ mutant: z.number(), check: z.string() }).nullable(),
  /** So many milliseconds of checks, as measured, are spent on one mutant in this process. */
  budgetMs: z.number(),
});

export type Job = z.output<typeof jobSchema>;

const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('measured'), test: measuredTestSchema }),
  /** A run begins, which is given up after `limitMs`. Mutant 0 is none. */
  z.object({ kind: z.literal('begin'), mutant: z.number(), check: z.string(), limitMs: z.number(), at: z.number() }),
  z.object({
    kind: z.literal('verdict'),
    mutant: z.number(),
    by: z.enum(['check', 'time-out']).nullable(),
    how: z.string(),
    ms: z.number(),
    /** All checks that let it live, by their place in `checks`. */
    passed: z.array(z.number()),
  }),
  /** The check fails without a mutant too. */
  z.object({ kind: z.literal('broken'), check: z.string(), how: z.string() }),
  /** Nothing more will come from this process. */
  z.object({ kind: z.literal('end') }),
]);

export type Message = z.output<typeof messageSchema>;

export function readJob(path: string): Job {
  return jobSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
}

export function parseMessage(line: string): Message {
  return messageSchema.parse(JSON.parse(line));
}
