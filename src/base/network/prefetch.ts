/**
 * Tells whether a browser loads a page in advance. The person has not gone there yet, so nothing may be used up.
 *
 * @param headers by their names in lower case
 */
export function isPrefetch(headers: Readonly<Record<string, string | readonly string[] | undefined>>): boolean {
  // The first is the standard's; older browsers and link previews send the others.
  const purposes = ['sec-purpose', 'purpose', 'x-purpose', 'x-moz'].map((name) => String(headers[name] ?? ''));
  return purposes.some((purpose) => /\b(?:prefetch|prerender|preview)\b/i.test(purpose));
}
