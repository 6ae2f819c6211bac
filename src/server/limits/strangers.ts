import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context as HonoContext } from 'hono';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { withStatus } from '../problem.ts';
import { countIn } from './traffic.ts';

/**
 * Limits what callers cost who have shown no key and no link yet: the forms that the server reads for them, and the look-ups
 * of what they claim. The bounds are sums, because a stranger may use any number of connections.
 */
export class Strangers {
  #forms = 0;
  #looks = 0;
  readonly #formsOf = new Map<string, number>();

  /**
   * Admits the reading of one form. The returned function must be called when the form was read.
   *
   * @throws {GrantryError} `rate_limited`, with the status 503
   */
  enterForm(address: string): () => void {
    const ofAddress = this.#formsOf.get(address) ?? 0;
    if (this.#forms >= limits.strangerFormsAtOnce || ofAddress >= limits.strangerFormsPerAddress) {
      throw busy('Too many forms without an API key are being read.');
    }
    this.#forms += 1;
    const leaveAddress = countIn(this.#formsOf, address);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#forms -= 1;
      leaveAddress();
    };
  }

  /** Runs one look-up in the database of a link, a state or a session that somebody claims to know. */
  async look<T>(run: () => Promise<T>): Promise<T> {
    if (this.#looks >= limits.strangerLookUpsAtOnce) throw busy('Too many links are being looked up.');
    this.#looks += 1;
    try {
      return await run();
    } finally {
      this.#looks -= 1;
    }
  }
}

/** The address of the other end of the connection: a reverse proxy's, where one stands in front. */
export function addressOf(request: HonoContext): string {
  return getConnInfo(request).remote.address ?? '';
}

function busy(message: string): GrantryError {
  return withStatus(new GrantryError('rate_limited', message, { retryAfterMs: 1_000 }), 503);
}
