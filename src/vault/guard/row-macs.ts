import type { Logger } from '../../base/log.ts';
import type { RowMac } from '../../crypto/row-mac.ts';
import type { TenantKeys } from '../../crypto/tenant-keys.ts';
import type { RowSeal } from '../../storage/row-seal.ts';

/** The log names an altered row once in this time, and at most so many rows. */
const namedOnceInMs = 3_600_000;
const namedMax = 200;

export interface VaultRowMacsOptions {
  readonly keys: TenantKeys;
  readonly logger: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

/** The MACs of one vault's rows. The key is loaded with the first row, since many programs need none. */
export class VaultRowMacs implements RowSeal {
  readonly #options: VaultRowMacsOptions;
  readonly #named = new Map<string, number>();
  #mac: RowMac | undefined;

  constructor(options: VaultRowMacsOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#mac !== undefined;
  }

  async prepare(): Promise<void> {
    this.#mac ??= await this.#options.keys.rowMac();
  }

  mac(canonical: readonly string[]): string {
    return this.#loaded().mac(canonical);
  }

  verify(canonical: readonly string[], mac: string): boolean {
    return this.#loaded().verify(canonical, mac);
  }

  report(row: string): void {
    const now = this.#options.monotonic();
    const named = this.#named.get(row);
    if (named !== undefined && now - named < namedOnceInMs) return;
    for (const [other, at] of this.#named) if (now - at >= namedOnceInMs) this.#named.delete(other);
    // A writer of the database can make any number of rows.
    if (this.#named.size >= namedMax) return;
    this.#named.set(row, now);
    this.#options.logger.error('a stored row was altered outside of Grantry and is not used', { row });
  }

  #loaded(): RowMac {
    if (this.#mac === undefined) throw new Error('the key of the rows is not loaded');
    return this.#mac;
  }
}
