import { limits } from '../base/limits.ts';
import { readBounded } from '../base/network/bounded.ts';
import { Secret } from '../base/secret.ts';
import type { RawAnswer } from './types.ts';

/**
 * Reads a response to its end, or to `limits.answerBytesMax`, without interpreting it.
 *
 * Never rejects: a body that breaks off, exceeds the limit or does not decompress is returned as far as it was read,
 * marked `incomplete`. The limit counts decompressed bytes, so a small body cannot expand into a large one.
 */
export async function readRawAnswer(response: Response, requestedAt: number): Promise<RawAnswer> {
  const contentType = headerOf(response, 'content-type');
  const { bytes, whole } = await readBounded(response.body, limits.answerBytesMax);
  const text = decode(bytes, contentType);
  return {
    status: response.status,
    contentType,
    retryAfter: headerOf(response, 'retry-after'),
    body: text === '' ? null : new Secret(text),
    incomplete: !whole,
    requestedAt,
  };
}

function headerOf(response: Response, name: string): string | null {
  return response.headers.get(name)?.slice(0, 256) ?? null;
}

/** Decodes UTF-8, as RFC 8259 demands, unless a byte order mark or the content type says UTF-16. */
function decode(bytes: Uint8Array, contentType: string | null): string {
  const mark = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  if (mark === 0xfffe) return new TextDecoder('utf-16le').decode(bytes);
  if (mark === 0xfeff) return new TextDecoder('utf-16be').decode(bytes);
  const charset = /charset\s*=\s*"?(utf-16(?:le|be)?)/i.exec(contentType ?? '')?.[1]?.toLowerCase();
  if (charset === undefined) return new TextDecoder('utf-8').decode(bytes);
  return new TextDecoder(charset === 'utf-16le' ? 'utf-16le' : 'utf-16be').decode(bytes);
}
