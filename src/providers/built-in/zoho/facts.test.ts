import { describe, expect, test } from 'vitest';
import { builtInProvider, builtInProviderIds } from '../../catalogue.ts';
import { confidences, factGroups } from '../../definition.ts';
import { factGroups as groups } from './product.ts';
import { zohoProducts } from './products.ts';

const ids = builtInProviderIds.filter((id) => /^zoho(_|$)/.test(id));

test('the groups of facts are those of the schema', () => {
  expect(groups).toEqual(factGroups);
  expect(
    Object.keys(zohoProducts)
      .map((product) => `zoho_${product}`)
      .toSorted(),
  ).toEqual(ids.filter((id) => id !== 'zoho').toSorted());
});

describe.each(ids)('%s', (id) => {
  test('has a source or a mark for each group of facts', () => {
    const { facts = {}, sources = [] } = builtInProvider(id) ?? {};
    for (const group of factGroups) {
      const mark = facts[group];
      expect(confidences, `${id} ${group}`).toContain(mark);
      if (mark === 'guess') continue;
      expect(
        sources.some(({ about }) => about?.includes(group)),
        `${id}: no source tells ${group}, and it is not marked as a guess`,
      ).toBe(true);
    }
  });

  // Of some sources only the month or the year in which they were read is known.
  test('says when each source was read, to the day, the month or the year, and what it tells', () => {
    for (const { read, note } of builtInProvider(id)?.sources ?? []) {
      expect(read).toMatch(/^2026(-\d\d){0,2}$/);
      expect(note).not.toBe('');
    }
  });
});
