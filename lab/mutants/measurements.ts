import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Measured } from './worker/job.ts';

const lineSchema = z.object({
  /** Hash of what it depends on. */
  state: z.string(),
  name: z.string(),
  ms: z.number(),
  seen: z.array(z.number()),
  error: z.string().optional(),
});

/** Keeps what was measured, so that a run which goes on measures only what has changed. */
export class Measurements {
  readonly #path: string;
  readonly #known = new Map<string, Measured[]>();

  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path)) return;
    for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
      const { state, ...measured } = lineSchema.parse(JSON.parse(line));
      this.#remember(state, measured);
    }
  }

  get(state: string): readonly Measured[] {
    return this.#known.get(state) ?? [];
  }

  add(state: string, measured: Measured): void {
    this.#remember(state, measured);
    appendFileSync(this.#path, `${JSON.stringify({ state, ...measured })}\n`);
  }

  #remember(state: string, measured: Measured): void {
    const known = this.#known.get(state);
    if (known === undefined) this.#known.set(state, [measured]);
    else known.push(measured);
  }
}
