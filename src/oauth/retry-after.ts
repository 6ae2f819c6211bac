const dayMs = 86_400_000;

/**
 * Reads a `Retry-After` header (RFC 9110 section 10.2.3), in seconds or as a date, into milliseconds from `now`; `null`
 * when there is none or it cannot be read. A day at most: no provider may put a grant to sleep for ever.
 */
export function retryAfterMs(header: string | null, now: number): number | null {
  const text = header?.trim() ?? '';
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return Math.min(Math.ceil(Number(text) * 1000), dayMs);
  // A date of HTTP has a day's name and GMT; anything looser that Date would take is not one.
  if (!/^[A-Z][a-z]{2,8}, .{8,40} GMT$/.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.min(Math.max(at - now, 0), dayMs);
}
