import type { LogFields, Logger } from '../base/log.ts';
import { scrub } from '../base/scrub.ts';
import type { World } from '../base/world.ts';
import { logLevels } from '../vault/settings.ts';
import type { LogLevel, Settings } from './settings.ts';
import { clean } from './terminal/output.ts';

export interface LogTarget {
  /** True for a person; without it, whether stderr is a terminal. */
  readonly terminal?: boolean;
  readonly write?: (line: string) => void;
  /** Called when a line held something that looked like a secret, which is a defect. */
  readonly onScrubbed?: () => void;
}

/** A logger on stderr from the given level up: one sentence per line on a terminal, else JSON. */
export function stderrLogger(
  world: World,
  { logLevel, json }: Pick<Settings, 'logLevel' | 'json'>,
  target: LogTarget = {},
): Logger {
  const {
    terminal = process.stderr.isTTY,
    write = (line) => void process.stderr.write(line),
    onScrubbed = () => {},
  } = target;
  const lowest = logLevels.indexOf(logLevel);
  const form = terminal && !json ? sentence : jsonLine;
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(level) < lowest) return;
      const { line, hits } = scrub(form(world, level, message, fields));
      write(`${line}\n`);
      if (hits > 0) onScrubbed();
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function jsonLine(world: World, level: LogLevel, message: string, fields: LogFields): string {
  return JSON.stringify({ time: new Date(world.now()).toISOString(), level, message, ...fields });
}

const levelWords: Readonly<Record<LogLevel, string>> = {
  debug: 'debug',
  info: 'note',
  warn: 'warning',
  error: 'error',
};

/** Such as `grantry: warning: the spool is slow (tenant acme, ms 1200)`. The line of a spinner is cleared first. */
function sentence(_world: World, level: LogLevel, message: string, fields: LogFields): string {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const about = known.map(([name, value]) => `${name} ${String(value)}`).join(', ');
  return `\r\u001b[2K${clean(`grantry: ${levelWords[level]}: ${message}${about === '' ? '' : ` (${about})`}`)}`;
}
