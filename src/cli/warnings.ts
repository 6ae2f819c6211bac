import type { Logger } from '../base/log.ts';
import { scrub } from '../base/scrub.ts';
import { clean } from './terminal/output.ts';

let tell = (warning: Error): void => {
  const { line } = scrub(`grantry: warning: ${clean(oneLine(warning.message))}`);
  process.stderr.write(`${line}\n`);
};

/** Prints warnings of Node.js and of libraries as sentences, in place of Node's own lines. Called once, at the start. */
export function catchWarnings(): void {
  // Without a listener, warnings are switched off.
  if (process.listenerCount('warning') === 0) return;
  process.removeAllListeners('warning');
  process.on('warning', (warning) => tell(warning));
}

/** Sends warnings to a log from now on. */
export function logWarnings(logger: Logger): void {
  tell = (warning) => {
    const code = 'code' in warning && typeof warning.code === 'string' ? warning.code : null;
    logger.warn(oneLine(warning.message), { kind: warning.name, code });
  };
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s+/g, ' ');
}
