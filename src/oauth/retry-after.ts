const dayMs = 86_400_000;

/**
 * Parses a `Retry-After` header (RFC 9110 section 10.2.3), in seconds or as a date, into milliseconds from `now`.
 * Returns `null` for a missing or unreadable header. The result is at most a day, so that no provider can stop a grant
 * for ever.
 */
export function retryAfterMs(header: string | null, now: number): number | null {
  const text = header?.trim() ?? '';
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return Math.min(Math.ceil(Number(text) * 1000), dayMs);
  // An HTTP date has a day's name and GMT; Date would accept looser forms that are not HTTP dates.
  if (!/^[A-Z][a-z]{2,8}, .{8,40} GMT$/.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.min(Math.max(at - now, 0), dayMs);
}
