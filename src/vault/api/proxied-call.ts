import type { Readable } from 'node:stream';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { GrantryError } from '../../base/errors.ts';
import { type ExchangeAnswer, exchange } from '../../base/exchange.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { bodyMatters, isInvalidToken } from '../../providers/invalid-token.ts';
import type { VaultContext } from '../context.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { unreachable } from './call.ts';
import { callWithTokenRetry } from './retry.ts';
import { type ApiTarget, type CallToken, callUrl, targetAndToken } from './target.ts';

/** A call as somebody else made it, to be made with the grant's token. */
export interface ProxiedCall {
  /** The path and query as they were sent; nothing of them is decoded. */
  readonly path: string;
  /** Names the provider's host to call instead of the usual one. */
  readonly host: string | undefined;
  readonly method: string;
  /** Names in lower case and values in turn, without those that belong to one connection or say who calls. */
  readonly headers: readonly string[];
  /** Called for each sending. */
  readonly body: () => Uint8Array | Readable | null;
  readonly canRepeat: () => boolean;
  readonly signal: AbortSignal;
}

/** The provider's answer as it came. */
export interface ProxiedAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  /** What was read of the body to look at it; it comes before the rest. */
  readonly head: readonly Uint8Array[];
  /** `null` when all of it was read. */
  readonly rest: Readable | null;
  /** Of the token that was used last. */
  readonly generation: number;
}

type Seen = Omit<ProxiedAnswer, 'generation'>;

/**
 * Makes a call for somebody else and hands back the answer's bytes; the rules are those of `callApi`.
 *
 * @throws {GrantryError} `invalid_request` for a host or path that is not the provider's, `provider_unavailable` when no
 * answer comes, and whatever `getAccessToken` throws
 */
export async function proxyCall(
  context: VaultContext,
  handOut: HandOut,
  key: GrantKey,
  call: ProxiedCall,
): Promise<ProxiedAnswer> {
  const checked = checkKey(key);
  let url = '';
  const { target, token } = await targetAndToken(context, handOut, checked, (found) => {
    url = callUrl(context, found, call.path, call.host);
  });
  const { definition } = target;
  const { answer, generation } = await callWithTokenRetry<Seen>(
    { context, handOut, key: checked },
    { token, definition },
    {
      send: async (current) => whole(await send(context, target, { call, url }, current)),
      look: (seen) => look(target, seen),
      canRepeat: call.canRepeat,
      drop: async ({ rest }) => void rest?.on('error', () => {}).destroy(),
    },
  );
  return { ...answer, generation };
}

function whole({ status, headers, body }: ExchangeAnswer): Seen {
  return { status, headers, head: [], rest: body };
}

async function send(
  context: VaultContext,
  target: ApiTarget,
  { call, url }: { call: ProxiedCall; url: string },
  token: CallToken,
): Promise<ExchangeAnswer> {
  const { method, signal } = call;
  try {
    return await exchange(context.world, url, {
      method,
      headers: headersOf(target, call, token),
      body: call.body(),
      signal,
    });
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    throw unreachable(context, error);
  }
}

/** The provider's own headers win over the caller's; the organisation that the caller names wins over the grant's. */
function headersOf(
  { definition, headers: own, organization }: ApiTarget,
  call: ProxiedCall,
  token: CallToken,
): string[] {
  const headers: string[] = [];
  const names = new Set<string>();
  for (const [name, value] of Object.entries(own)) {
    names.add(name.toLowerCase());
    headers.push(name, value);
  }
  const wanted = organization?.in === 'header' ? organization.name.toLowerCase() : null;
  let isNamed = wanted !== null && names.has(wanted);
  for (let at = 0; at < call.headers.length; at += 2) {
    const name = call.headers[at] ?? '';
    if (names.has(name)) continue;
    if (name === wanted) isNamed = true;
    headers.push(name, call.headers[at + 1] ?? '');
  }
  if (organization?.in === 'header' && !isNamed) headers.push(organization.name, organization.value);
  headers.push('authorization', `${definition.accessToken.scheme} ${token.accessToken}`);
  return headers;
}

/** Looks at an answer as far as this provider's rules need it, and puts back what was read of it. */
async function look({ definition }: ApiTarget, seen: Seen): Promise<{ isRefused: boolean; answer: Seen }> {
  const { status, headers, rest } = seen;
  const wwwAuthenticate = headerOf(headers, 'www-authenticate');
  const isJson = /\bjson\b/i.test(headerOf(headers, 'content-type') ?? '');
  if (rest === null || !isJson || !bodyMatters(definition, status)) {
    return { isRefused: isInvalidToken(definition, { status, wwwAuthenticate }), answer: seen };
  }
  const { head, ended } = await readHead(rest);
  const body = ended ? parse(Buffer.concat(head), headerOf(headers, 'content-encoding')) : undefined;
  const isRefused = isInvalidToken(definition, { status, wwwAuthenticate, ...(body === undefined ? {} : { body }) });
  return { isRefused, answer: { ...seen, head, rest: ended ? null : rest } };
}

/** Reads up to a limit. What is longer is no error envelope, and goes on as a stream. */
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
  if (error instanceof GrantryError) return error;
  return new GrantryError('provider_unavailable', "The provider's API broke its answer off.", { cause: error });
}

/** An error envelope is small: what unpacks to more than that is none. */
function parse(bytes: Buffer, encoding: string | null): unknown {
  try {
    return JSON.parse(unpack(bytes, encoding?.toLowerCase() ?? 'identity').toString('utf8'));
  } catch {
    return undefined;
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

function headerOf(headers: readonly string[], wanted: string): string | null {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() === wanted) return headers[at + 1] ?? null;
  }
  return null;
}
