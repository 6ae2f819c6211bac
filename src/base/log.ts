/**
 * What a log line may carry: named fields of plain kinds. There is no "log this object": an object may hold a secret.
 */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Where Grantry's log lines go; hand in your own to `openVault`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
