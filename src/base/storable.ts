/**
 * Tells whether both databases keep a JSON document: PostgreSQL refuses NUL characters and lone surrogates in its texts.
 *
 * @param json Text that `JSON.stringify` wrote: it escapes these two, and no other surrogate.
 */
export function isStorableJson(json: string): boolean {
  return !/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json);
}
