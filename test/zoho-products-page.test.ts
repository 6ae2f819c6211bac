import { expect, test } from 'vitest';
import { zohoProductsPage } from './support/zoho-products-page.ts';

test("the page of Zoho's products shows the definitions: vitest -u writes it", async () => {
  await expect(zohoProductsPage()).toMatchFileSnapshot('../docs/zoho-products.md');
});
