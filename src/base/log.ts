/** Fields of a log line: names with plain values. Objects are not accepted, because an object may hold a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Receiver of Grantry's log lines; pass your own to `openVault`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
