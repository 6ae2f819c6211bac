import type { Confidence, FactGroup, ProviderDefinition } from '../providers/definition.ts';

/** One fact of a provider's definition, how sure it is, and a source that tells it; dashes where there is none. */
export interface FactRow {
  readonly fact: string;
  readonly mark: Confidence | '-';
  readonly source: string;
  /** The day on which the source was read; only the month or the year if no more is known. */
  readonly read: string;
}

const names: Readonly<Record<FactGroup, string>> = {
  hosts: 'API hosts',
  scopes: 'scopes',
  organization: 'organisation',
  invalidToken: 'refused token',
  scopeMissing: 'missing scope',
  health: 'health call',
  limits: 'limits',
};

/** Lists each group of facts with its mark: one row per source, or one without a source. Empty if nothing is marked. */
export function factRows({ facts = {}, sources = [] }: ProviderDefinition): FactRow[] {
  const groups = Object.keys(names).filter((name): name is FactGroup => name in names);
  return groups.flatMap((group): FactRow[] => {
    const mark: FactRow['mark'] = facts[group] ?? '-';
    const telling = sources.filter(({ about }) => about?.includes(group));
    if (mark === '-' && telling.length === 0) return [];
    const about = { fact: names[group], mark };
    if (telling.length === 0) return [{ ...about, source: '-', read: '-' }];
    return telling.map(({ url, read }) => ({ ...about, source: url, read }));
  });
}
