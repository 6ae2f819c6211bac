import type { LogFields, Logger } from '../base/log.ts';
import { scrub } from '../base/scrub.ts';
import type { World } from '../base/world.ts';
import { type LogLevel, logLevels, type Settings } from './settings.ts';
import { clean } from './terminal/output.ts';

export interface LogTarget {
  /** Whether a person reads; what stderr is, when left out. */
  readonly terminal?: boolean;
  readonly write?: (line: string) => void;
  /** Called for a line from which something had to be taken that looked like a secret: a defect of who wrote it. */
  readonly onScrubbed?: () => void;
}

/** A logger on stderr, from the given level up: a sentence a line for the person at a terminal, JSON for programs. */
export function stderrLogger(
  world: World,
  { logLevel, json }: Pick<Settings, 'logLevel' | 'json'>,
  target: LogTarget = {},
): Logger {
  const { terminal = process.stderr.isTTY, write = toStderr, onScrubbed = () => {} } = target;
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

function toStderr(line: string): void {
  process.stderr.write(line);
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

/** Such as `grantry: warning: the spool is slow (tenant acme, ms 1200)`; a spinner's line is wiped first. */
function sentence(_world: World, level: LogLevel, message: string, fields: LogFields): string {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const about = known.map(([name, value]) => `${name} ${String(value)}`).join(', ');
  return `\r\u001b[2K${clean(`grantry: ${levelWords[level]}: ${message}${about === '' ? '' : ` (${about})`}`)}`;
}
