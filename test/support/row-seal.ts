import type { RowSeal } from '../../src/storage/rows/row-seal.ts';

/** A seal for stores that no vault has opened: its MACs are the canonical form itself. */
export function plainSeal(reported: string[] = []): RowSeal {
  return {
    isReady: true,
    prepare: async () => {},
    mac: (canonical) => JSON.stringify(canonical),
    verify: (canonical, mac) => JSON.stringify(canonical) === mac,
    report: (row) => void reported.push(row),
  };
}
