import { readFileSync } from 'node:fs';
import { z } from 'zod';

const reviewedSchema = z.array(
  z.strictObject({
    file: z.string(),
    /** The mutant, as the run names it. */
    mutant: z.string(),
    because: z.string().min(20),
  }),
);

/** A mutant that a person has looked at: it has no effect that a caller or a provider could see. */
export type Reviewed = z.output<typeof reviewedSchema>[number];

export function readReviewed(): Reviewed[] {
  return reviewedSchema.parse(JSON.parse(readFileSync(new URL('./reviewed.json', import.meta.url), 'utf8')));
}
