import type { z } from 'zod';
import { errorCodes, GrantryError, type GrantryErrorCode } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import type { World, WorldRequest } from '../base/world.ts';
import { problemSchema } from '../server/schemas.ts';

/** Where a server is, and the key that opens it. */
export interface ServerAddress {
  /** Without a slash at its end. */
  readonly url: string;
  readonly apiKey: Secret | undefined;
}

export interface ClientRequest {
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** Speaks to a Grantry server: sends requests with the key, and turns problems into the errors they came from. */
export class Client {
  readonly #world: World;
  readonly #address: ServerAddress;

  constructor(world: World, address: ServerAddress) {
    this.#world = world;
    this.#address = address;
  }

  /** The answer to a request, parsed. @throws {GrantryError} what the server answered, or that it cannot be reached */
  async ask<Shape extends z.ZodType>(
    method: string,
    path: string,
    shape: Shape,
    request: ClientRequest = {},
  ): Promise<{ status: number; headers: Headers; body: z.infer<Shape> }> {
    const response = await this.send(method, withQuery(path, request.query), {
      headers: request.body === undefined ? {} : { 'content-type': 'application/json' },
      body: request.body === undefined ? null : JSON.stringify(request.body),
    });
    if (!response.ok) throw await problemIn(response);
    const text = await response.text();
    const parsed = shape.safeParse(text === '' ? undefined : parseJson(text));
    if (!parsed.success) throw notUnderstood();
    return { status: response.status, headers: response.headers, body: parsed.data };
  }

  /** Sends a request and hands the answer back as it is. @throws {GrantryError} `provider_unavailable`-like when unreachable */
  async send(method: string, path: string, init: Omit<WorldRequest, 'method'>): Promise<Response> {
    const { url, apiKey } = this.#address;
    if (apiKey === undefined) {
      throw new GrantryError('unauthorized', 'GRANTRY_URL names a server, and GRANTRY_API_KEY is not set.', {
        action: 'Set GRANTRY_API_KEY to a key of that server, or unset GRANTRY_URL.',
      });
    }
    const headers = new Headers(init.headers);
    // The server is who the key is for.
    headers.set('authorization', `Bearer ${apiKey.reveal()}`);
    try {
      return await this.#world.fetch(`${url}${path}`, { ...init, method, headers });
    } catch (error) {
      throw new GrantryError('storage_unavailable', 'The Grantry server at GRANTRY_URL does not answer.', {
        action: 'Check GRANTRY_URL and whether the server runs; try again later.',
        cause: error,
      });
    }
  }
}

/** The error that a server answered with. */
export async function problemIn(response: Response): Promise<GrantryError> {
  const parsed = problemSchema.safeParse(parseJson(await response.text()));
  if (!parsed.success) return notUnderstood(response.status);
  const { code, detail, action, retry_after: seconds } = parsed.data;
  return new GrantryError(code, detail, { action, retryAfterMs: seconds === undefined ? undefined : seconds * 1_000 });
}

/** An error that stands in a line of results. */
export function errorOf(code: string, message: string, action: string | undefined): GrantryError {
  return new GrantryError(isCode(code) ? code : 'internal', message, { action });
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function segment(text: string): string {
  return encodeURIComponent(text);
}

function withQuery(path: string, query: ClientRequest['query'] = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const search = parameters.toString();
  if (search === '') return path;
  if (search.length > limits.requestUrlCharsMax) throw new GrantryError('invalid_request', 'The request is too long.');
  return `${path}?${search}`;
}

function notUnderstood(status?: number): GrantryError {
  const what = status === undefined ? 'an answer' : `an answer (status ${status})`;
  return new GrantryError('provider_error', `The server at GRANTRY_URL gave ${what} that is not Grantry's.`, {
    action: 'Check GRANTRY_URL: it names a Grantry server, without any path that is not its own.',
  });
}

function isCode(code: string): code is GrantryErrorCode {
  return Object.hasOwn(errorCodes, code);
}
