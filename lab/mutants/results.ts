import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Mutant } from './source/generate.ts';

const resultSchema = z.object({
  file: z.string(),
  key: z.string(),
  /** Hash of the file that was mutated: a result counts only for the same text. */
  text: z.string(),
  /** Null: it compiles, and no check so far has noticed it. */
  by: z.enum(['compiler', 'tests', 'simulation', 'time-out']).nullable(),
  how: z.string(),
  ms: z.number(),
  /** The checks that let it live. */
  asked: z.array(z.enum(['tests', 'simulation'])).default([]),
  /** The single checks that let it live, by their marks. */
  passed: z.array(z.string()).default([]),
});

export type Result = z.output<typeof resultSchema>;

/** A file with a line per mutant and step, so that a run that was stopped goes on where it was. The last line counts. */
export class Results {
  readonly #path: string;
  readonly #known = new Map<string, Result>();

  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path)) return;
    for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
      const result = resultSchema.parse(JSON.parse(line));
      this.#known.set(nameOf(result.file, result.key, result.text), result);
    }
  }

  get({ file, key }: Mutant, text: string): Result | undefined {
    return this.#known.get(nameOf(file, key, text));
  }

  add(result: Result): void {
    this.#known.set(nameOf(result.file, result.key, result.text), result);
    appendFileSync(this.#path, `${JSON.stringify(result)}\n`);
  }
}

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function nameOf(file: string, key: string, text: string): string {
  return `${file} ${text} ${key}`;
}
