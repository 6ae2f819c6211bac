import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('keeps the peak of the heap lower than without the flag', () => {
  const program = `
    import { keepHeapSmall } from ${JSON.stringify(new URL('./heap.ts', import.meta.url).href)};
    if (process.argv[1] === 'small') keepHeapSmall();
    const kept = [];
    let peak = 0;
    for (let n = 0; n < 1_200_000; n += 1) {
      kept[n % 300_000] = { n, text: 'x' + n, list: [n, n + 1, n + 2] };
      if (n % 5_000 === 0) peak = Math.max(peak, process.memoryUsage().heapUsed);
    }
    console.log(peak);
  `;
  const peakOf = (how: string) =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', program, how], { encoding: 'utf8' }));
  expect(peakOf('small')).toBeLessThan(peakOf('as it is'));
});
