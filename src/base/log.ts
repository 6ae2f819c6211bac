/**
 * What a log line may carry: named fields of plain kinds. There is no "log this object": an object may hold a secret.
 */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Where Grantry's log lines go; hand in your own to `openVault`. */
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
