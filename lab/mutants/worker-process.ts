import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tree } from './tree.ts';
import { type Job, type Message, parseMessage } from './worker/job.ts';

/** The program that runs the checks of a job: Vitest, or the simulation. */
export interface Place {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}

export interface Ended {
  /** A run that did not end: its process was ended. */
  readonly hung: { mutant: number; check: string } | null;
  /** The last run that had begun, if the process ended by itself in the middle of it. */
  readonly died: { mutant: number; check: string } | null;
  readonly output: string;
}

const lookMs = 500;
let jobs = 0;

/** Runs one process for a job, and passes on what it says as it says it. */
export async function runJob(
  tree: Tree,
  place: Place,
  job: Omit<Job, 'out'>,
  listen: (message: Message) => void,
): Promise<Ended> {
  jobs += 1;
  const path = join(tree.path, `job-${place.name}-${jobs}`);
  const out = `${path}.jsonl`;
  writeFileSync(out, '');
  writeFileSync(`${path}.json`, JSON.stringify({ ...job, out }));
  let heard = 0;
  let running: Extract<Message, { kind: 'begin' }> | null = null;
  let ended = false;
  let hung: Ended['hung'] = null;
  const read = (): void => {
    const text = readFileSync(out, 'utf8');
    const whole = text.slice(heard, text.lastIndexOf('\n') + 1);
    heard += whole.length;
    for (const line of whole.split('\n').filter(Boolean)) {
      const message = parseMessage(line);
      if (message.kind === 'begin') running = message;
      else if (message.kind === 'end') ended = true;
      listen(message);
    }
  };
  const env = { ...place.env, GRANTRY_MUTANTS_JOB: `${path}.json`, NO_COLOR: '1' };
  const child = tree.start(place.args, env);
  const watch = setInterval(() => {
    read();
    if (running === null || ended || hung !== null) return;
    if (Date.now() - running.at <= running.limitMs) return;
    hung = { mutant: running.mutant, check: running.check };
    child.end();
  }, lookMs);
  const output = await child.output;
  clearInterval(watch);
  read();
  rmSync(`${path}.json`);
  rmSync(out);
  const last = running as Extract<Message, { kind: 'begin' }> | null;
  const died = ended || hung !== null || last === null ? null : { mutant: last.mutant, check: last.check };
  return { hung, died, output };
}
