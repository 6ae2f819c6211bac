import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

import { root } from './steps.ts';

/** One step or one test. */
export interface Result {
  readonly name: string;
  readonly passed: boolean;
}

/** The results of the suite that runs, a line of JSON each, written as they come. */
export const resultsFile = `${root}.tmp/test-results.jsonl`;

export function clearResults(): void {
  mkdirSync(path.dirname(resultsFile), { recursive: true });
  rmSync(resultsFile, { force: true });
}

/** The results so far; a line that a killed process left in half is passed over. */
export function readResults(): Result[] {
  if (!existsSync(resultsFile)) return [];
  return parseResults(readFileSync(resultsFile, 'utf8'));
}

export function parseResults(text: string): Result[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Result => JSON.parse(line));
}

/** The names of all failures, then the one line that ends a run. */
export function summary(results: readonly Result[]): string {
  const failed = results.filter(({ passed }) => !passed);
  const names = failed.length === 0 ? '' : `\nFailed:\n${failed.map(({ name }) => `  ✗ ${name}\n`).join('')}`;
  return `${names}\n${results.length - failed.length} passed, ${failed.length} failed\n`;
}
