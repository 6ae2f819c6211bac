import { GrantryError, isGrantryError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { World } from '../base/world.ts';
import { internalsOf } from '../vault/internals.ts';
import type { Vault } from '../vault/types.ts';

export interface VaultHolderOptions {
  readonly open: () => Promise<Vault>;
  readonly world: World;
  readonly logger: Logger;
  /** Called with the vault as soon as it is open. @throws any error that prevents the server's start */
  readonly onOpen: (vault: Vault) => Promise<void>;
}

/** The interval between two attempts to open a vault whose database or root key is unavailable. */
const retryMs = 1_000;

/**
 * Opens the vault and holds it. A server whose database or root key is unavailable starts nevertheless, answers with that
 * error, and serves as soon as they are back: machines start in any order.
 */
export class VaultHolder {
  readonly #options: VaultHolderOptions;
  readonly #stop = new AbortController();
  #vault: Vault | undefined;
  #missing: GrantryError = new GrantryError('storage_unavailable', 'The vault is being opened.');
  #retrying: Promise<void> = Promise.resolve();

  private constructor(options: VaultHolderOptions) {
    this.#options = options;
  }

  /** @throws {GrantryError} for every error that waiting does not cure */
  static async open(options: VaultHolderOptions): Promise<VaultHolder> {
    const holder = new VaultHolder(options);
    if (!(await holder.#try())) holder.#retrying = holder.#retry();
    return holder;
  }

  /** @throws {GrantryError} `vault_sealed` or `storage_unavailable` while it cannot be opened */
  get(): Vault {
    if (this.#vault === undefined) throw this.#missing;
    return this.#vault;
  }

  /** Prevents the vault from starting new refreshes, before it is closed. */
  windDown(): void {
    this.#stop.abort(new Error('the server stops'));
    if (this.#vault !== undefined) internalsOf(this.#vault).windDown();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the server stops'));
    await this.#retrying;
    await this.#vault?.close();
  }

  async #try(): Promise<boolean> {
    try {
      this.#vault = await this.#open();
      return true;
    } catch (error) {
      if (!isGrantryError(error, 'vault_sealed') && !isGrantryError(error, 'storage_unavailable')) throw error;
      this.#say(error);
      this.#missing = error;
      return false;
    }
  }

  async #open(): Promise<Vault> {
    const vault = await this.#options.open();
    try {
      await this.#options.onOpen(vault);
      return vault;
    } catch (error) {
      // The first error is the one to report.
      await vault.close().catch(() => {});
      throw error;
    }
  }

  #say({ code, message, action }: GrantryError): void {
    if (code === this.#missing.code && message === this.#missing.message) return;
    this.#options.logger.error('the vault cannot be opened yet', { code, detail: message, action });
  }

  async #retry(): Promise<void> {
    const { world, logger } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await world.sleep(retryMs, this.#stop.signal);
        if (await this.#try()) {
          logger.info('the vault is open');
          return;
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        // The cause has changed; the new one may still be cured, so the attempts continue.
        const known = isGrantryError(error) ? error : new GrantryError('internal', 'The vault cannot be opened.');
        if (known.code !== this.#missing.code)
          logger.error('the vault cannot be opened', { code: known.code, detail: known.message });
        this.#missing = known;
      }
    }
  }
}
