import { expect, test } from 'vitest';
import { failuresIn, productIds, runTable } from './table.ts';

/** `npm run zoho-table` tries all eleven. These three differ in their suffixes, and Canada in the shape of its hosts. */
const centers = new Set(['us', 'ca', 'cn']);

test('every product works in data centres of each kind', async () => {
  const rows = await runTable(
    productIds,
    () => {},
    (_product, dc) => centers.has(dc),
  );
  expect(failuresIn(rows)).toEqual([]);
  expect(rows.filter(({ cells }) => cells.connect === 'ok').length).toBeGreaterThan(120);
}, 600_000);
