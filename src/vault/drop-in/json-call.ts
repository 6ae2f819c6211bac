import { GrantryError, type GrantryErrorCode, invalidRequest } from '../../base/errors.ts';
import type { CallBody, VaultRequest } from '../types.ts';

/** Options of an API call. */
export interface ApiCallOptions {
  /** The HTTP method; `GET` by default. */
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** Sent as JSON; strings and bytes are sent unchanged. */
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** The `cause` of the error for a refused API call. */
export interface ApiRefusal {
  readonly status: number;
  /** The parsed answer, or its text if it is not JSON. */
  readonly body: unknown;
}

/** Writes the call of a program that speaks JSON. @throws {GrantryError} `invalid_request` for a body that is no JSON */
export function jsonRequest(options: ApiCallOptions): VaultRequest {
  const { method, signal } = options;
  const { body, isJson } = encode(options.body);
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
  if (isJson && !named) headers['content-type'] = 'application/json';
  return { method, headers, body, signal };
}

function encode(body: unknown): { body: CallBody | undefined; isJson: boolean } {
  if (body === undefined || body === null) return { body: undefined, isJson: false };
  if (isRaw(body)) return { body, isJson: false };
  // A string is usually JSON that the caller has serialised.
  if (typeof body === 'string') return { body, isJson: true };
  let json: string | undefined;
  try {
    json = JSON.stringify(body);
  } catch (error) {
    throw invalidRequest('The body cannot be written as JSON.', { cause: error });
  }
  if (json === undefined) throw invalidRequest('The body cannot be written as JSON.');
  return { body: json, isJson: true };
}

/** Bodies that are sent as they are: as JSON they would be an empty object. */
function isRaw(body: unknown): body is Uint8Array | FormData | Blob | URLSearchParams | ReadableStream<Uint8Array> {
  const kinds = [Uint8Array, FormData, Blob, URLSearchParams, ReadableStream];
  return kinds.some((kind) => body instanceof kind);
}

/** Reads an answer: its JSON, or its text with the error that the parser threw; `null` if it is empty. */
export async function readAnswer(response: Response): Promise<{ body: unknown; notJson?: unknown }> {
  const text = await response.text();
  if (text.trim() === '') return { body: null };
  try {
    const body: unknown = JSON.parse(text);
    return { body };
  } catch (error) {
    return { body: text, notJson: error };
  }
}

/** The error for an answer other than success. */
export function refusal(response: Response, body: unknown): GrantryError {
  const { status } = response;
  const apiCode = apiCodeOf(body);
  const cause: ApiRefusal = { status, body };
  return new GrantryError(
    errorCodeOf(status, apiCode),
    `The API refused the call (status ${status}${apiCode === null ? '' : `, ${apiCode}`}).`,
    {
      cause,
      action: 'See the status and data in the response of this error.',
      response: { status, data: body },
      ...waitOf(response),
    },
  );
}

function errorCodeOf(status: number, apiCode: string | null): GrantryErrorCode {
  if (status === 429) return 'provider_throttled';
  if (status >= 500) return 'provider_unavailable';
  if (apiCode !== null && /SCOPE_MISMATCH|SCOPE_INVALID/i.test(apiCode)) return 'insufficient_scope';
  return 'provider_error';
}

/** Returns the API's own error code if it is a plain word; no other part of an answer may appear in a message. */
function apiCodeOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const code: unknown = Reflect.get(body, 'code') ?? Reflect.get(body, 'errorCode');
  if (typeof code === 'number') return String(code);
  return typeof code === 'string' && /^[A-Z][A-Z_]{2,63}$/.test(code) ? code : null;
}

/** Reads Retry-After in seconds only, because a date would be relative to the provider's clock. */
function waitOf(response: Response): { retryAfterMs?: number } {
  const header = response.headers.get('retry-after') ?? '';
  return /^\d{1,6}$/.test(header) ? { retryAfterMs: Number(header) * 1_000 } : {};
}
