import type { Readable } from 'node:stream';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { type ApiResponse, GrantryError } from '../../base/errors.ts';
import { jsonIn } from '../../base/exact-json.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { type ExchangeAnswer, exchange } from '../../base/network/exchange.ts';
import { brokenOff } from '../../base/network/platform-response.ts';
import { hideTokens } from '../../base/scrub.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type ApiAnswer, bodyMatters, isInvalidToken, isScopeMissing } from '../../providers/invalid-token.ts';
import { forCall } from '../../providers/products.ts';
import type { VaultContext } from '../context.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { unreachable } from './call.ts';
import { ownHeaders } from './headers.ts';
import { callWithTokenRetry, rejectedBecause } from './retry.ts';
import type { PlacedCall } from './target.ts';
import { noteUse } from './uses.ts';

/** A client's call, to be forwarded with the grant's token. */
export interface ProxiedCall {
  /** Path and query as the client sent them, without any decoding. */
  readonly path: string;
  /** Name of the provider's host to call instead of the default one. */
  readonly host: string | undefined;
  readonly method: string;
  /** Lower-case names and values in turn, without connection-specific headers and those that identify the client. */
  readonly headers: readonly string[];
  /** Returns the body; called for each attempt. */
  readonly body: () => Uint8Array | Readable | null;
  readonly canRepeat: () => boolean;
  readonly signal: AbortSignal;
}

/** The provider's answer, unchanged. */
export interface ProxiedAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  /** Chunks of the body that were read for inspection; they precede `rest`. */
  readonly head: readonly Uint8Array[];
  /** `null` when the whole body was read. */
  readonly rest: Readable | null;
  /** Generation of the token used last. */
  readonly generation: number;
  /** Set if the answer rejects a token that the grant's own API accepts. */
  readonly reason?: 'token_accepted';
}

type InspectedAnswer = Omit<ProxiedAnswer, 'generation' | 'reason'>;

/**
 * Forwards a client's call and returns the answer's bytes, by the rules of `callApi`.
 *
 * @throws {GrantryError} `invalid_request` for a host or path that is not the provider's, `provider_unavailable` when no
 * answer arrives, and every error of `getAccessToken`
 */
export async function proxyCall(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  call: ProxiedCall,
): Promise<ProxiedAnswer> {
  const checked = checkKey(key);
  const provider = await context.providers.require(checked.provider, { orKept: true });
  const definition = forCall(provider, call.path, call.host);
  const given = (name: string) => headerOf(call.headers, name.toLowerCase());
  const address = { context, handOut, key: checked, definition, pathOrUrl: call.path, host: call.host, given };
  let sentToken = '';
  const made = { method: call.method, url: '', isScopeMissing: false };
  const { answer, generation, keptBecause, isTokenGood } = await callWithTokenRetry<InspectedAnswer>(address, {
    send: async (placed) => {
      sentToken = placed.token.accessToken;
      made.url = placed.url;
      return whole(call.method, await send(context, placed, call));
    },
    inspect: async (unread) => {
      const { isScopeMissing: isMissing, ...inspected } = await inspect(definition, unread);
      made.isScopeMissing = isMissing;
      return inspected;
    },
    canRepeat: call.canRepeat,
    drop,
  });
  noteUse(context, checked, made);
  if (keptBecause === undefined) return { ...answer, generation, ...(isTokenGood ? { reason: 'token_accepted' } : {}) };
  throw rejectedBecause(keptBecause, await readRejection(answer, sentToken));
}

/** Reads the API's answer for the error that takes its place. An answer that is too long or breaks off has no data. */
async function readRejection(answer: InspectedAnswer, token: string): Promise<ApiResponse> {
  const { status, headers, head, rest } = answer;
  const more = rest === null ? { head: [], ended: true } : await readHead(rest).catch(() => null);
  await drop(answer);
  if (more?.ended !== true) return { status, data: null };
  const text = textOf(Buffer.concat([...head, ...more.head]), headerOf(headers, 'content-encoding'));
  if (text === null) return { status, data: null };
  // An error tells no token, also where an API repeats the one that it got.
  const told = hideTokens(text.replaceAll(token, '[not shown]'));
  return { status, data: jsonIn(told) ?? told };
}

async function drop({ rest }: InspectedAnswer): Promise<void> {
  rest?.on('error', () => {}).destroy();
}

function whole(method: string, { status, headers, body }: ExchangeAnswer): InspectedAnswer {
  if (!isBodiless(method, status)) return { status, headers, head: [], rest: body };
  // Its length may be that of a body which never comes (RFC 9110 section 8.6).
  body.on('error', () => {}).resume();
  return { status, headers, head: [], rest: null };
}

/** True for an answer that ends with its headers (RFC 9110 sections 6.4.1 and 15). */
function isBodiless(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

async function send(context: VaultContext, placed: PlacedCall, call: ProxiedCall): Promise<ExchangeAnswer> {
  const { method, signal } = call;
  try {
    return await exchange(context.world, placed.url, {
      method,
      headers: headersOf(placed, call),
      body: call.body(),
      signal,
    });
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    throw unreachable(context, error);
  }
}

/** Merges headers: ours replace the client's of the same name. */
function headersOf(placed: PlacedCall, call: ProxiedCall): string[] {
  const own = ownHeaders(placed, (name) => headerOf(call.headers, name.toLowerCase()));
  const names = new Set(own.map(([name]) => name.toLowerCase()));
  const headers = own.flat();
  for (let at = 0; at < call.headers.length; at += 2) {
    const name = call.headers[at] ?? '';
    if (!names.has(name)) headers.push(name, call.headers[at + 1] ?? '');
  }
  return headers;
}

/** Inspects an answer as far as this provider's rules require, and returns it with the chunks that were read. */
async function inspect(
  definition: ProviderDefinition,
  unread: InspectedAnswer,
): Promise<{ isRefused: boolean; isScopeMissing: boolean; answer: InspectedAnswer }> {
  const { status, headers, rest } = unread;
  const wwwAuthenticate = headerOf(headers, 'www-authenticate');
  const isJson = /\bjson\b/i.test(headerOf(headers, 'content-type') ?? '');
  if (rest === null || !isJson || !bodyMatters(definition, status)) {
    return { ...verdictOf(definition, { status, wwwAuthenticate }), answer: unread };
  }
  const { head, ended } = await readHead(rest);
  const body = ended ? parse(Buffer.concat(head), headerOf(headers, 'content-encoding')) : undefined;
  const verdict = verdictOf(definition, { status, wwwAuthenticate, ...(body === undefined ? {} : { body }) });
  return { ...verdict, answer: { ...unread, head, rest: ended ? null : rest } };
}

/** Judges what an answer says about the token, or about its scopes. */
function verdictOf(definition: ProviderDefinition, answer: ApiAnswer) {
  const isRefused = isInvalidToken(definition, answer);
  return { isRefused, isScopeMissing: !isRefused && isScopeMissing(definition, answer) };
}

/** Reads a stream up to a limit. A longer body is not an error envelope, and its rest stays a stream. */
function readHead(stream: Readable): Promise<{ head: Uint8Array[]; ended: boolean }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ head: Uint8Array[]; ended: boolean }>();
  const head: Uint8Array[] = [];
  let bytes = 0;
  const finish = (ended: boolean): void => {
    stream.off('data', read).off('end', end).off('error', fail).off('close', cut);
    resolve({ head, ended });
  };
  const read = (chunk: Uint8Array): void => {
    head.push(chunk);
    bytes += chunk.length;
    if (bytes < limits.apiPeekBytesMax) return;
    stream.pause();
    finish(false);
  };
  const end = (): void => finish(true);
  const fail = (error: unknown): void => reject(lost(error));
  const cut = (): void => reject(lost(stream.errored));
  stream.on('data', read).on('end', end).on('error', fail).on('close', cut);
  return promise;
}

function lost(error: unknown): GrantryError {
  return error instanceof GrantryError ? error : brokenOff("The provider's API", error);
}

/** Parses an error envelope. A body that decompresses beyond the limit is not one. */
function parse(bytes: Buffer, encoding: string | null): unknown {
  const text = textOf(bytes, encoding);
  return text === null ? undefined : jsonIn(text);
}

/** The text of a body; null for one that does not decompress within the limit. */
function textOf(bytes: Buffer, encoding: string | null): string | null {
  try {
    return unpack(bytes, encoding?.toLowerCase() ?? 'identity').toString('utf8');
  } catch {
    return null;
  }
}

function unpack(bytes: Buffer, encoding: string): Buffer {
  const options = { maxOutputLength: limits.apiPeekBytesMax };
  if (encoding === 'gzip' || encoding === 'x-gzip') return gunzipSync(bytes, options);
  if (encoding === 'br') return brotliDecompressSync(bytes, options);
  if (encoding === 'deflate') return inflateSync(bytes, options);
  if (encoding === 'zstd') return zstdDecompressSync(bytes, options);
  return bytes;
}

/** Returns a header's value; several of one name are joined, as `Headers` does. */
function headerOf(headers: readonly string[], wanted: string): string | null {
  let found: string | null = null;
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() !== wanted) continue;
    const value = headers[at + 1] ?? '';
    found = found === null ? value : `${found}, ${value}`;
  }
  return found;
}
