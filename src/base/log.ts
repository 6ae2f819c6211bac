/** Fields of a log line: names with plain values. Objects are not accepted, because an object may hold a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Receiver of Grantry's log lines; pass your own to `openVault`. */
export interface Logger {
  /** Reports a step that only a developer needs. */
  debug(message: string, fields?: LogFields): void;
  /** Reports normal operation. */
  info(message: string, fields?: LogFields): void;
  /** Reports a condition that an operator should look at. */
  warn(message: string, fields?: LogFields): void;
  /** Reports a failure. */
  error(message: string, fields?: LogFields): void;
}

export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Warns of work that is tried again and again: an outage is told once, not at each try. */
export class RepeatedWarning {
  readonly #logger: Logger;
  readonly #message: string;
  readonly #fields: LogFields;
  #told: string | null = null;

  constructor(logger: Logger, message: string, fields: LogFields = {}) {
    this.#logger = logger;
    this.#message = message;
    this.#fields = fields;
  }

  /** Warns, unless the last try failed with the same code. */
  failed(code: string): void {
    if (code !== this.#told) this.#logger.warn(this.#message, { ...this.#fields, code });
    this.#told = code;
  }

  /** The next failure is a new one. */
  worked(): void {
    this.#told = null;
  }
}
