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
