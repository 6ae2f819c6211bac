import { type Hash, joinHashes, rootOfLeaves, splitHashes } from './merkle.ts';
import { tileWidth } from './tiles.ts';

/** A tile that is full. */
export interface FullTile {
  readonly level: number;
  readonly tile: number;
  readonly hashes: readonly Hash[];
}

/** The hashes at the right edge of a tree: for each level of tiles those that fill no tile yet. */
export type Edges = readonly (readonly Hash[])[];

/**
 * Adds leaves at the right edge. Returns the new edge, and the tiles that became full.
 *
 * @param size The number of leaves before.
 */
export function grow(
  edges: Edges,
  size: number,
  leaves: readonly Hash[],
): { readonly edges: Edges; readonly tiles: readonly FullTile[] } {
  const levels = edges.map((level) => [...level]);
  const tiles: FullTile[] = [];
  /** Number of hashes that a level has had. */
  const had = (level: number): number => Math.floor(size / tileWidth ** level);
  const full: number[] = [];
  const add = (level: number, hash: Hash): void => {
    levels[level] ??= [];
    const hashes = levels[level];
    hashes.push(hash);
    if (hashes.length < tileWidth) return;
    const before = Math.floor(had(level) / tileWidth) + (full[level] ?? 0);
    full[level] = (full[level] ?? 0) + 1;
    tiles.push({ level, tile: before, hashes });
    levels[level] = [];
    add(level + 1, rootOfLeaves(hashes));
  };
  for (const leaf of leaves) add(0, leaf);
  return { edges: levels, tiles };
}

/** The root of the tree that ends at an edge. RFC 6962 §2.1. Undefined for an empty tree. */
export function rootOfEdges(edges: Edges): Hash | undefined {
  let rest: Hash | undefined;
  for (const level of edges) {
    const hashes = rest === undefined ? level : [...level, rest];
    rest = hashes.length === 0 ? undefined : rootOfLeaves(hashes);
  }
  return rest;
}

/** Edges as text, level by level. */
export function edgesText(edges: Edges): string {
  return JSON.stringify(edges.map(hashesText));
}

/** The hashes of a text of base64. */
export function hashesIn(base64: string): Hash[] {
  const hashes = splitHashes(Buffer.from(base64, 'base64'));
  if (hashes === undefined) throw new RangeError('a list of hashes has another length');
  return hashes;
}

/** The text of base64 for hashes. */
export function hashesText(hashes: readonly Hash[]): string {
  return Buffer.from(joinHashes(hashes)).toString('base64');
}

/** Reads what {@link edgesText} wrote. The row that holds it carries a MAC. */
export function parseEdges(text: string): Edges {
  const levels: unknown = JSON.parse(text);
  if (!Array.isArray(levels)) throw new TypeError('edges are a list');
  return levels.map((level) => hashesIn(String(level)));
}
