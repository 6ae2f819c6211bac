import type { LabResult, Spread } from './verdict.ts';

/** The promise of each rotation class, in one line. */
export const promises: Readonly<Record<string, string>> = {
  none: '0 lost, 0 false deaths',
  timed_overlap: '0 lost, 0 false deaths',
  retire_on_use: '0 lost, 0 false deaths',
  overlap_newest_only: '0 lost, 0 false deaths',
  strict: 'lost only where the answer had not arrived; said once',
  strict_revokes_family: 'lost only where the answer had not arrived; said once',
};

export function resultTable(results: readonly LabResult[]): string {
  const head = [
    'class',
    'database',
    'times ×',
    'kills',
    'counted',
    'pauses',
    'lost',
    'false deaths',
    'spent twice',
    'replaced after p50 / p95 / max',
    'recovery p50 / p95 / max',
  ];
  const rows = results.map((result) => [
    result.rotation,
    result.database,
    String(result.scale),
    String(result.kills),
    String(result.counted),
    String(result.pauses),
    lossText(result),
    String(result.falseDeaths),
    String(result.duplicateSpends),
    spread(result.replacement),
    spread(result.recovery),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** Describes the lost grants, and how far the last answer of each had come. */
export function lossText({ lost, losses, memoryMsMax, memoryOwnMsMax }: LabResult): string {
  if (lost === 0) return '0';
  const parts = [
    losses.not_arrived > 0 ? `${losses.not_arrived} not arrived` : '',
    losses.came_late > 0 ? `${losses.came_late} came late` : '',
    losses.in_memory > 0
      ? `${losses.in_memory} in memory for ≤ ${memoryMsMax} ms, of its own ≤ ${memoryOwnMsMax} ms`
      : '',
    losses.kept > 0 ? `${losses.kept} KEPT` : '',
  ];
  return `${lost} (${parts.filter((part) => part !== '').join(', ')})`;
}

function spread({ p50Ms, p95Ms, maxMs }: Spread): string {
  return [p50Ms, p95Ms, maxMs].map(seconds).join(' / ');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
