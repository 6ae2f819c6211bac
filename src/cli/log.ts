import type { LogFields, Logger } from '../base/log.ts';
import type { World } from '../base/world.ts';
import { type LogLevel, logLevels } from './settings.ts';

/** A logger that writes JSON lines on stderr, from the given level up. */
export function stderrLogger(world: World, level: LogLevel): Logger {
  const lowest = logLevels.indexOf(level);
  const at =
    (name: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(name) < lowest) return;
      const line = { time: new Date(world.now()).toISOString(), level: name, message, ...fields };
      process.stderr.write(`${JSON.stringify(line)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
