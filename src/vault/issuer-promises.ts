import { isGrantryError } from '../base/errors.ts';
import { limits, timesOf } from '../base/limits.ts';
import type { World } from '../base/world.ts';

/** The promise of an issuer; null while its metadata cannot be read. */
type Promised = boolean | null;

/**
 * Remembers which issuers promise an `iss` in every callback (RFC 9207), for definitions that name their endpoints
 * themselves. Each issuer's metadata is read once. A promise that was seen is never forgotten.
 */
export class IssuerPromises {
  readonly #world: World;
  readonly #allowLoopback: boolean;
  readonly #known = new Map<string, { promised: Promised; readAt: number }>();

  constructor(world: World, allowLoopback: boolean) {
    this.#world = world;
    this.#allowLoopback = allowLoopback;
  }

  /** Returns the promise of an issuer; null if its metadata cannot be read, which is no fault of the caller's. */
  async of(issuer: string): Promise<Promised> {
    const known = this.#known.get(issuer);
    const now = this.#world.monotonic();
    const isFresh = known !== undefined && now - known.readAt < timesOf(this.#world).issuerRecheckMs;
    if (known !== undefined && (known.promised !== null || isFresh)) return known.promised;
    const promised = await this.#read(issuer);
    this.#known.set(issuer, { promised, readAt: now });
    return promised;
  }

  async #read(issuer: string): Promise<Promised> {
    const done = new AbortController();
    const deadline = new AbortController();
    this.#world.sleep(limits.issuerMetadataMs, done.signal).then(
      () => deadline.abort(),
      () => {},
    );
    try {
      const { discoverEndpoints } = await import('../oauth/discovery.ts');
      const options = { allowLoopback: this.#allowLoopback, signal: deadline.signal };
      return (await discoverEndpoints(this.#world, issuer, options)).issParameterSupported;
    } catch (error) {
      // Many issuers publish no metadata, or other endpoints than a definition may use.
      if (isGrantryError(error)) return null;
      throw error;
    } finally {
      done.abort();
    }
  }
}
