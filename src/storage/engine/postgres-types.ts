import { type CustomTypesConfig, types } from 'pg';
import { safeInteger } from './safe-integer.ts';

type Reader = (text: string) => unknown;

/** Readers of PostgreSQL's values by type oid: they make a row look like one of SQLite. */
const readers = new Map<number, Reader>([
  [20, readInteger], // int8
  [114, asText], // json
  [3802, asText], // jsonb
  [1114, (text) => readTime(`${text}Z`, text)], // timestamp without time zone: taken for UTC
  [1184, (text) => readTime(text, text)], // timestamp with time zone
]);

export const postgresTypes: CustomTypesConfig = {
  getTypeParser(oid, format) {
    const reader = format === 'binary' ? undefined : readers.get(oid);
    // Without a format the driver asks for text.
    return reader ?? (format === 'binary' ? types.getTypeParser(oid, 'binary') : types.getTypeParser(oid, 'text'));
  },
};

function readInteger(text: string): number {
  return safeInteger(Number(text));
}

function asText(text: string): string {
  return text;
}

/** ISO 8601 in UTC with milliseconds; `infinity` and years before Christ stay as PostgreSQL writes them. */
function readTime(text: string, original: string): string {
  const value = Date.parse(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
  return Number.isNaN(value) ? original : new Date(value).toISOString();
}
