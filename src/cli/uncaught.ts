import type { Logger } from '../base/log.ts';

/**
 * Ends the program on an uncaught error, since its state is unknown then. The log gets the kind of the error and its place,
 * never its message, which may hold a secret. Answers of providers are in the spool by then; a supervisor restarts the
 * program.
 */
export function endOnUncaught(logger: Logger, end: () => void = () => process.exit(1)): void {
  const report = (thrown: unknown): void => {
    logger.error('a defect ends this program', defectOf(thrown));
    end();
  };
  process.on('uncaughtException', report);
  process.on('unhandledRejection', report);
}

/** The parts of a thrown value that may be logged. */
export function defectOf(thrown: unknown): { kind: string; at: string | null } {
  return { kind: thrown instanceof Error ? thrown.constructor.name : typeof thrown, at: placeOf(thrown) };
}

/** The first frames of the stack: names of functions and files. */
function placeOf(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  const { stack = '', message } = thrown;
  // The message may have lines that look like frames.
  const after = message === '' ? 0 : stack.lastIndexOf(message) + message.length;
  const frames = stack
    .slice(after)
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  return frames.length === 0 ? null : frames.slice(0, 4).join(' ').replaceAll(/\s+/g, ' ').trim();
}
