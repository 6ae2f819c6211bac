import { expect, test } from 'vitest';
import { failuresIn, productIds, runTable } from './table.ts';

test('every product works in every data centre', async () => {
  const rows = await runTable(productIds);
  expect(failuresIn(rows)).toEqual([]);
  expect(rows.filter(({ cells }) => cells.connect === 'ok').length).toBeGreaterThan(480);
}, 600_000);
