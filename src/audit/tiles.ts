/**
 * The layout of C2SP tlog-tiles: hashes and entries of a log as files of 256 each. Hashing follows RFC 6962. The paths are
 * those of the specification, so any client of that layout can read a copied log.
 */
import { invalidRequest } from '../base/errors.ts';
import { isTreeSize } from './merkle.ts';

/** Each tile covers eight levels of the tree. */
export const tileHeight = 8;

/** Hashes in a complete tile, and entries in a complete bundle. */
export const tileWidth = 256;

/** Longest entry of a bundle, by its length prefix of 16 bits. */
export const entryBytesMax = 65_535;

/** Level of a tile; `entries` names a bundle of entries, which stands beside the tile of level 0. */
export type TileLevel = number | 'entries';

/** A file of the layout. A tile of fewer than 256 hashes is partial. */
export interface Tile {
  readonly level: TileLevel;
  readonly index: number;
  readonly width: number;
}

/** Writes the path of a tile, such as `tile/0/x001/234` or `tile/entries/000.p/17` (tlog-tiles, "Merkle Tree"). */
export function tilePath({ level, index, width }: Tile): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  const place = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level}/${place}${width === tileWidth ? '' : `.p/${width}`}`;
}

const pathPattern = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;
const levelMax = 63;

/** Reads a path of the layout. Returns `undefined` for any other text, and for a second spelling of a path. */
export function parseTilePath(path: string): Tile | undefined {
  const [, levelText = '', place = '', widthText] = pathPattern.exec(path) ?? [];
  const level = levelText === 'entries' ? levelText : Number(levelText);
  const index = Number(place.replaceAll(/\D/g, ''));
  const tile: Tile = { level, index, width: widthText === undefined ? tileWidth : Number(widthText) };
  if (levelText === '' || !isTreeSize(index) || (level !== 'entries' && level > levelMax)) return undefined;
  return tilePath(tile) === path ? tile : undefined;
}

/** Lists the tiles of hashes that become complete as the log grows from `from` to `to` entries, lowest level first. */
export function completedTiles(from: number, to: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0, leaves = tileWidth; leaves <= to; level += 1, leaves *= tileWidth) {
    for (let index = Math.floor(from / leaves); index < Math.floor(to / leaves); index += 1) {
      tiles.push({ level, index, width: tileWidth });
    }
  }
  return tiles;
}

/** Lists the partial tiles of hashes of a log of `size` entries, lowest level first (tlog-tiles, "Partial Tiles"). */
export function partialTiles(size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0, hashes = size; hashes > 0; level += 1, hashes = Math.floor(hashes / tileWidth)) {
    const width = hashes % tileWidth;
    if (width > 0) tiles.push({ level, index: Math.floor(hashes / tileWidth), width });
  }
  return tiles;
}

/** Returns the bundle of entries beside a tile of level 0. */
export function bundleOf(tile: Tile): Tile {
  return { ...tile, level: 'entries' };
}

/**
 * Writes a bundle: each entry with its length in 16 bits, big-endian, before it (tlog-tiles, "Log entries").
 *
 * @throws {GrantryError} `invalid_request` for an entry longer than 65,535 bytes
 */
export function writeBundle(entries: readonly (string | Uint8Array)[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const bytes = typeof entry === 'string' ? Buffer.from(entry) : entry;
    if (bytes.length > entryBytesMax) throw invalidRequest(`An audit entry exceeds ${entryBytesMax} bytes.`);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}

/** Reads the entries of a bundle. Returns `undefined` if the bytes end within an entry, or hold more than 256. */
export function readBundle(bytes: Uint8Array): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const [high, low] = [bytes[offset], bytes[offset + 1]];
    if (high === undefined || low === undefined || entries.length === tileWidth) return undefined;
    const end = offset + 2 + high * 256 + low;
    if (end > bytes.length) return undefined;
    entries.push(bytes.slice(offset + 2, end));
    offset = end;
  }
  return entries;
}
