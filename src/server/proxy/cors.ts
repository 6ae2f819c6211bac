import type { IncomingMessage, ServerResponse } from 'node:http';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { World } from '../../base/world.ts';
import type { Principal } from '../principal.ts';
import { proxyMethods } from './shapes.ts';

const methods = proxyMethods.map((method) => method.toUpperCase()).join(', ');

/** The names of headers that a page wants to send, as a browser lists them. */
const headerNames = /^[A-Za-z0-9-]+(?: ?, ?[A-Za-z0-9-]+)*$/;

/**
 * The headers with which a page of an allowed origin may read an answer (Fetch Standard, CORS protocol); none for a
 * caller that is no page.
 *
 * @throws {GrantryError} `forbidden` for a page of another origin
 */
export function pageHeaders(principal: Principal, request: IncomingMessage): readonly string[] {
  const { origin } = request.headers;
  if (principal.origins === null || origin === undefined) return [];
  if (!principal.origins.has(origin)) {
    throw new GrantryError('forbidden', 'This API key is not for pages of that origin.', {
      action: 'Add the origin to the key: grantry key update NAME --origin ORIGIN.',
    });
  }
  return ['access-control-allow-origin', origin, 'access-control-expose-headers', '*', 'vary', 'origin'];
}

/** True for a browser's question before a call of a page. It carries no key. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  const asks = headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
  return method === 'OPTIONS' && asks && headers.authorization === undefined;
}

/**
 * Answers the questions of browsers before the calls of pages. The question names no key: it is answered for the origins of
 * all live keys, and the call itself is refused when its own key does not name the origin.
 */
export class Preflights {
  readonly #world: World;
  readonly #findOrigins: () => Promise<readonly string[]>;
  #known: { readonly origins: ReadonlySet<string>; readonly readAt: number } | null = null;
  #reading: Promise<ReadonlySet<string>> | null = null;

  /** @param findOrigins reads the origins of all live keys */
  constructor(world: World, findOrigins: () => Promise<readonly string[]>) {
    this.#world = world;
    this.#findOrigins = findOrigins;
  }

  /** @throws {GrantryError} `storage_unavailable` when the origins were never read and cannot be */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const origin = request.headers.origin ?? '';
    const allowed = (await this.#origins()).has(origin);
    const wanted = request.headers['access-control-request-headers'] ?? '';
    const named = wanted.length <= limits.headerChoiceCharsMax && headerNames.test(wanted) ? wanted : 'authorization';
    response.writeHead(204, {
      vary: 'origin, access-control-request-method, access-control-request-headers',
      ...(allowed && {
        'access-control-allow-origin': origin,
        'access-control-allow-methods': methods,
        'access-control-allow-headers': named,
        'access-control-max-age': String(limits.preflightSeconds),
      }),
    });
    response.end();
  }

  async #origins(): Promise<ReadonlySet<string>> {
    const known = this.#known;
    if (known !== null && this.#world.monotonic() - known.readAt < limits.apiKeyWatchMs) return known.origins;
    try {
      return await (this.#reading ??= this.#read());
    } catch (error) {
      // Without a database the answer of before holds: the call itself needs a key that is trusted.
      if (known !== null) return known.origins;
      throw error;
    } finally {
      this.#reading = null;
    }
  }

  async #read(): Promise<ReadonlySet<string>> {
    const readAt = this.#world.monotonic();
    const origins = new Set(await this.#findOrigins());
    this.#known = { origins, readAt };
    return origins;
  }
}
