/** An aim that was set before the first measurement. */
export interface Aim {
  what: string;
  value: number;
  least?: number;
  most?: number;
}

/** Formats a table as plain text; numbers are aligned right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return /^[\d<]/.test(cell) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** Prints for each aim whether it was reached; returns true when all were. */
export function judge(aims: readonly Aim[]): boolean {
  let good = true;
  for (const { what, value, least, most } of aims) {
    const ok = (least === undefined || value >= least) && (most === undefined || value <= most);
    const bound = least === undefined ? `at most ${most}` : `at least ${least}`;
    process.stdout.write(`${ok ? '✓' : '✗'} ${what}: ${value.toFixed(2)} (${bound})\n`);
    good &&= ok;
  }
  return good;
}

export function rateText(perSecond: number): string {
  if (perSecond >= 1_000_000) return `${(perSecond / 1_000_000).toFixed(2)} M/s`;
  if (perSecond >= 10_000) return `${Math.round(perSecond / 1000)} k/s`;
  return perSecond >= 1000 ? `${(perSecond / 1000).toFixed(1)} k/s` : `${perSecond.toFixed(0)} /s`;
}
