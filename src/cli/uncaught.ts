import type { Logger } from '../base/log.ts';
import type { World } from '../base/world.ts';

/** The time in which a program with a defect must have ended: longer than a provider may take to answer. */
const endingMsMax = 120_000;

/**
 * Ends the program on an uncaught error, since its state is unknown then. The log gets the kind of the error and its place,
 * never its message, which may hold a secret. A supervisor restarts the program.
 *
 * @param windDown begins nothing new, and waits for the answers to requests that were sent
 */
export function endOnUncaught(
  { logger, world }: { logger: Logger; world: World },
  windDown: () => Promise<void>,
  exit: () => void = () => process.exit(1),
): void {
  let ending = false;
  const report = (thrown: unknown): void => {
    logger.error('a defect ends this program', defectOf(thrown));
    // A second defect while it ends changes nothing: the answers under way are still worth waiting for.
    if (ending) return;
    ending = true;
    const tooLate = world.sleep(endingMsMax, undefined, { background: true });
    void Promise.race([windDown(), tooLate])
      .catch((error: unknown) => logger.error('this program could not end in order', defectOf(error)))
      .finally(exit);
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
