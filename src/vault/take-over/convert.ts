import { createHash } from 'node:crypto';
import { jsonIn } from '../../base/exact-json.ts';
import { checkName, checkProviderId, newUuid } from '../../base/ids.ts';
import type { World } from '../../base/world.ts';
import type { ConvertedRow, ForeignRow } from '../../storage/take-over/table.ts';
import { reasons } from '../reasons.ts';

/** A converted row and its problems; each problem is a sentence about the row, without a full stop. */
export interface Conversion {
  readonly row: ConvertedRow;
  readonly problems: readonly string[];
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const secretName = /secret|password|(access|refresh|id)_?token/i;
/** Names longer than this are replaced by a digest: they are too long for an index. */
const nameCharsKept = 1_024;

/** Makes a converter for the rows of one table; it keeps track of the ids in use. */
export function converter(world: World): (foreign: ForeignRow) => Conversion {
  const ids = new Set<string>();
  const now = new Date(world.now()).toISOString();
  return (foreign) => {
    const problems: string[] = [];
    const names = namesOf(foreign, problems);
    const metadata = metadataOf(foreign, problems);
    const expiry = timeOf(foreign.token_expiry);
    if (expiry === undefined) problems.push('its expiry is unreadable, so its access token counts as expired');
    const hasRefreshToken = filled(foreign.refresh_token);
    if (!hasRefreshToken) problems.push('it has no refresh token, so the tenant must connect again');
    const reason = names.valid ? (hasRefreshToken ? null : reasons.noRefreshToken) : reasons.invalidName;
    return {
      problems,
      row: {
        row: foreign.row,
        id: idOf(foreign.id, ids, world),
        client_id: names.tenant,
        provider: names.provider,
        token_expiry: expiry ?? null,
        scopes: scopesOf(foreign.scopes).join(','),
        metadata: JSON.stringify(metadata),
        created_at: timeOf(foreign.created_at) ?? now,
        updated_at: timeOf(foreign.updated_at) ?? now,
        state: reason === null ? 'active' : 'reauthorization_required',
        reason,
      },
    };
  };
}

/**
 * Reads a time: ISO 8601, `YYYY-MM-DD HH:MM:SS`, or seconds or milliseconds since 1970. A time without a zone is UTC;
 * numbers below 1e11 are seconds. Returns undefined for an unreadable time.
 */
export function timeOf(value: string | null): string | null | undefined {
  const text = value?.trim() ?? '';
  if (text === '') return null;
  const ms = /^-?\d+(\.\d+)?$/.test(text) ? numberTime(Number(text)) : Date.parse(zoned(text));
  // Databases and programs disagree about years with other than four digits.
  return ms >= 0 && ms < Date.UTC(9999, 0) ? new Date(ms).toISOString() : undefined;
}

/** Reads scopes: separated by commas or white space, as a JSON array or as a PostgreSQL array. */
export function scopesOf(value: string | null): string[] {
  const text = value?.trim() ?? '';
  const list = text.startsWith('[') || text.startsWith('"') ? jsonIn(text) : undefined;
  if (typeof list === 'string') return scopesOf(list);
  const inner = /^\{.*\}$/s.test(text) ? text.slice(1, -1) : text;
  const parts: unknown[] = Array.isArray(list) ? list : inner.split(/[\s,]+/).map((part) => part.replace(/^"|"$/g, ''));
  const names = parts.flatMap((part) => (typeof part === 'string' ? part.split(/[\s,]+/) : []));
  return [...new Set(names.filter((name) => name !== '' && name !== 'NULL'))];
}

/** Reads a JSON object; one that was stored as a JSON string is parsed twice. */
export function objectOf(value: string | null): Record<string, unknown> | 'unreadable' {
  if (!filled(value) || value.trim() === 'null') return {};
  const first = jsonIn(value);
  const found = typeof first === 'string' ? jsonIn(first) : first;
  // Checked to be a plain object, with members of any type.
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found as Record<string, unknown>;
  return 'unreadable';
}

function numberTime(value: number): number {
  return Math.abs(value) < 1e11 ? value * 1_000 : value;
}

/** Adds UTC to a time without a zone and expands PostgreSQL's short zones; otherwise the parser would assume local time. */
function zoned(text: string): string {
  const [, date, time, zone = ''] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(.*)$/.exec(text) ?? [];
  if (date === undefined) return /(GMT|UTC|Z|[+-]\d\d:?\d\d)\b/.test(text) ? text : 'unreadable';
  const offset = /^([+-]\d\d):?(\d\d)?(:\d\d)?$/.exec(zone);
  if (offset) return `${date}T${time ?? '00:00'}${offset[1]}:${offset[2] ?? '00'}`;
  return zone === '' || /^(Z|UTC|GMT)$/i.test(zone) ? `${date}T${time ?? '00:00'}Z` : 'unreadable';
}

function idOf(value: string | null, ids: Set<string>, world: World): string {
  const own = value !== null && uuidPattern.test(value) && !ids.has(value.toLowerCase());
  const id = own ? value : newUuid(world);
  ids.add(id.toLowerCase());
  return id;
}

/** Keeps names unchanged, since any correction would be a guess. A row with invalid names is sealed nevertheless. */
function namesOf(foreign: ForeignRow, problems: string[]): { tenant: string; provider: string; valid: boolean } {
  const tenant = storable(foreign.client_id);
  const provider = storable(foreign.provider);
  const before = problems.length;
  if (fails(() => checkName('tenant', tenant))) problems.push('its client_id is not a valid tenant name');
  if (fails(() => checkProviderId(provider))) problems.push('its provider is not a valid provider id');
  return { tenant, provider, valid: problems.length === before };
}

/** Replaces a name by its digest if it is too long for an index, or has a character that PostgreSQL cannot store. */
function storable(value: string | null): string {
  const text = value ?? '';
  if (text.length <= nameCharsKept && !text.includes('\0') && text.isWellFormed()) return text;
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** Reads the metadata and removes secrets from it, because metadata is stored unencrypted. */
function metadataOf(foreign: ForeignRow, problems: string[]): Record<string, unknown> {
  const found = objectOf(foreign.metadata);
  if (found === 'unreadable') {
    problems.push('its metadata is not a JSON object and is left out');
    return {};
  }
  const secrets = [foreign.access_token, foreign.refresh_token].filter(filled);
  const cleaned = cleanedObject(found, secrets);
  if (cleaned.removed > 0) problems.push('its metadata contains secrets, which are left out');
  return cleaned.value;
}

function cleanedObject(
  object: Record<string, unknown>,
  secrets: readonly string[],
): { value: Record<string, unknown>; removed: number } {
  let removed = 0;
  const text = JSON.stringify(object, (name, value: unknown) => {
    const leaks = typeof value === 'string' && secrets.some((secret) => value.includes(secret));
    if (!leaks && !secretName.test(name)) return typeof value === 'string' ? value.replaceAll('\0', '') : value;
    removed += 1;
    return undefined;
  });
  // Parsed from the same object, without the removed members.
  return { value: JSON.parse(text) as Record<string, unknown>, removed };
}

function filled(value: string | null): value is string {
  return value !== null && value !== '';
}

function fails(check: () => unknown): boolean {
  try {
    check();
    return false;
  } catch {
    return true;
  }
}
