import type { Result } from './results.ts';
import type { Reviewed } from './reviewed.ts';
import type { Mutant } from './source/generate.ts';

export interface Judged {
  readonly mutant: Mutant;
  readonly result: Result | undefined;
  readonly reviewed: Reviewed | undefined;
}

/** The table, then each survivor. */
export function report(judged: readonly Judged[], stale: readonly Reviewed[]): { lines: string[]; share: number } {
  const files = [...new Set(judged.map(({ mutant }) => mutant.file))];
  const rows = files.map((file) =>
    rowOf(
      file,
      judged.filter(({ mutant }) => mutant.file === file),
    ),
  );
  const total = rowOf('**all**', judged);
  const live = judged.filter(isLive);
  const survivors = live.filter(({ result, reviewed }) => result?.by === null && reviewed === undefined);
  const counted = live.filter(({ result, reviewed }) => result !== undefined && reviewed === undefined);
  const share = counted.length === 0 ? 0 : 1 - survivors.length / counted.length;
  const lines = [
    '| file | mutants | noticed by tests | by the simulation | by a time-out | change nothing (reviewed) | survive |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    total,
    '',
    `${judged.length} mutants were made. The compiler refuses ${judged.length - live.length} of them; ${counted.length} of the rest were tried, ${(share * 100).toFixed(1)} % of these were noticed.`,
    ...survivors.map(({ mutant }) => `survives: ${mutant.file}:${mutant.line} ${mutant.key}`),
    ...judged
      .filter(({ result, reviewed }) => reviewed !== undefined && result !== undefined && result.by !== null)
      .map(
        ({ mutant, result }) => `reviewed, but noticed by ${result?.by}: ${mutant.file}:${mutant.line} ${mutant.key}`,
      ),
    ...stale.map(({ file, mutant }) => `reviewed, but no longer made: ${file} ${mutant}`),
  ];
  return { lines, share };
}

function isLive({ result }: Judged): boolean {
  return result?.by !== 'compiler';
}

function rowOf(name: string, all: readonly Judged[]): string {
  const live = all.filter(isLive);
  const count = (by: Result['by']): number =>
    live.filter(({ result, reviewed }) => result?.by === by && (by !== null || reviewed === undefined)).length;
  const reviewed = live.filter((each) => each.reviewed !== undefined && (each.result?.by ?? null) === null).length;
  const cells = [live.length, count('tests'), count('simulation'), count('time-out'), reviewed, count(null)];
  return `| ${name} | ${cells.join(' | ')} |`;
}
