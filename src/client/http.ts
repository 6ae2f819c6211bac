import type { z } from 'zod';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { jsonIn, refuseRounded } from '../base/exact-json.ts';
import { limits } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import type { World, WorldRequest } from '../base/world.ts';
import { problemSchema } from '../schemas/problem.ts';

/** The address of a server, and an API key for it. */
export interface ServerAddress {
  /** Without a slash at its end. */
  readonly url: string;
  readonly apiKey: Secret;
}

export interface HttpRequest {
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** Sends requests to a Grantry server, and turns problems into the errors that they came from. */
export class Http {
  readonly #world: World;
  readonly #address: ServerAddress;

  constructor(world: World, address: ServerAddress) {
    this.#world = world;
    this.#address = address;
  }

  /** Sends a request and parses the answer. @throws {GrantryError} the server's own error, or `storage_unavailable` */
  async ask<Shape extends z.ZodType>(
    method: string,
    path: string,
    shape: Shape,
    request: HttpRequest = {},
  ): Promise<{ status: number; headers: Headers; body: z.output<Shape> }> {
    const response = await this.send(method, withQuery(path, request.query), {
      headers: request.body === undefined ? {} : { 'content-type': 'application/json' },
      body: request.body === undefined ? null : writeBody(request.body),
    });
    if (!response.ok) throw await problemIn(response);
    const text = await response.text();
    const parsed = shape.safeParse(text === '' ? undefined : jsonIn(text));
    if (!parsed.success) throw notUnderstood(response.status);
    return { status: response.status, headers: response.headers, body: parsed.data };
  }

  /** Sends a request and returns the answer as it is. @throws {GrantryError} `storage_unavailable` without an answer */
  async send(method: string, path: string, init: Omit<WorldRequest, 'method'>): Promise<Response> {
    const { url, apiKey } = this.#address;
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${apiKey.reveal()}`);
    try {
      return await this.#world.fetch(`${url}${path}`, { ...init, method, headers });
    } catch (error) {
      // An abort reaches the caller as the caller made it.
      init.signal?.throwIfAborted();
      throw new GrantryError('storage_unavailable', `The Grantry server at ${new URL(url).host} does not answer.`, {
        action: 'Check the URL of the server (GRANTRY_URL) and that the server is running.',
        cause: error,
      });
    }
  }
}

/** Reads the error that a server answered with. */
export async function problemIn(response: Response): Promise<GrantryError> {
  const parsed = problemSchema.safeParse(jsonIn(await response.text()));
  if (!parsed.success) return notUnderstood(response.status);
  const { code, detail, action, reason, response: answer, retry_after: seconds } = parsed.data;
  // A server names a wait whenever waiting helps.
  const again = seconds === undefined ? { retryable: false as const } : { retryAfterMs: seconds * 1_000 };
  return new GrantryError(code, detail, { action, reason, response: answer, ...again });
}

/** The error of an answer that no Grantry server gives. */
export function notUnderstood(status: number): GrantryError {
  return new GrantryError('provider_error', `The answer (status ${status}) did not come from a Grantry server.`, {
    action: 'Check the URL of the server (GRANTRY_URL): it must be the one at which /livez answers.',
  });
}

export function segment(text: string): string {
  return encodeURIComponent(text);
}

function writeBody(body: unknown): string {
  try {
    return JSON.stringify(body, refuseRounded);
  } catch (error) {
    if (isGrantryError(error)) throw error;
    throw new GrantryError('invalid_request', 'The request cannot be written as JSON.', { cause: error });
  }
}

function withQuery(path: string, query: HttpRequest['query'] = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const search = parameters.toString();
  if (search === '') return path;
  if (path.length + search.length < limits.requestUrlCharsMax) return `${path}?${search}`;
  throw new GrantryError('invalid_request', `The URL would be longer than ${limits.requestUrlCharsMax} characters.`, {
    action: 'Name fewer tenants or providers in one call.',
  });
}
