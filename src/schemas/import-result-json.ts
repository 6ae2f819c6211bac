import type { ImportResult } from './import-line.ts';
import { toJson, writeKey } from './json.ts';

/** Writes the result of one line of an import. */
export function importResultToJson({ sharedWith, ...result }: ImportResult): object {
  return { ...toJson(result), ...(sharedWith === undefined ? {} : { shared_with: sharedWith.map(writeKey) }) };
}
