import { expect, test } from 'vitest';
import { failuresIn, runTable } from './table.ts';

test('a few products work in a few data centres', async () => {
  const rows = await runTable(
    ['zoho', 'zoho_crm', 'zoho_books', 'zoho_cliq', 'zoho_servicedesk'],
    () => {},
    (product, dc) => (product === 'zoho_crm' ? 'ca cn'.includes(dc) : dc === 'eu'),
  );
  expect(failuresIn(rows)).toEqual([]);
  expect(rows.map(({ cells }) => cells.connect)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'ok']);
});
