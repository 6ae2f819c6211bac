import type { ZohoProduct } from './product.ts';
import { crmFamily } from './products/crm.ts';
import { financeFamily } from './products/finance.ts';
import { manageEngineFamily } from './products/manageengine.ts';
import { marketingFamily } from './products/marketing.ts';
import { peopleFamily } from './products/people.ts';
import { platformFamily } from './products/platform.ts';
import { talkFamily } from './products/talk.ts';
import { workFamily } from './products/work.ts';

/** All products, by the second part of their provider id. */
export const zohoProducts: Readonly<Record<string, ZohoProduct>> = {
  ...crmFamily,
  ...financeFamily,
  ...platformFamily,
  ...talkFamily,
  ...workFamily,
  ...marketingFamily,
  ...peopleFamily,
  ...manageEngineFamily,
};
