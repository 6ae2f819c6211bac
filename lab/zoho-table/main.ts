/**
 * `npm run zoho-table -- [PRODUCT…]`: a table of products × data centres, each tried against the simulator in this process.
 * The exit code is 1 if something failed. `-` means that no call of the product is known that proves a grant.
 */
import { requirePackages } from '../../scripts/steps.ts';

requirePackages();
const { failuresIn, productIds, runTable, steps } = await import('./table.ts');

const asked = process.argv.slice(2).map((name) => (name.startsWith('zoho') ? name : `zoho_${name}`));
const unknown = asked.find((id) => !productIds.includes(id));
if (unknown !== undefined) {
  process.stderr.write(`There is no product ${unknown}. There are: ${productIds.join(' ')}\n`);
  process.exit(2);
}

process.stdout.write(
  `${['product', 'dc', ...steps].map((name, index) => name.padEnd(index === 0 ? 26 : 13)).join('')}\n`,
);
const rows = await runTable(asked.length === 0 ? productIds : asked, ({ product, dc, cells }) => {
  const shown = [product.padEnd(26), dc.padEnd(13), ...steps.map((step) => cells[step].slice(0, 12).padEnd(13))];
  process.stdout.write(`${shown.join('').trimEnd()}\n`);
});
const failures = failuresIn(rows);
const tried = rows.filter(({ cells }) => cells.connect !== '-').length;
process.stdout.write(`\n${rows.length} rows, ${tried} tried, ${failures.length} failures\n`);
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
