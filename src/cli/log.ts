import type { LogFields, Logger } from '../base/log.ts';
import { scrub } from '../base/scrub.ts';
import type { World } from '../base/world.ts';
import { logLevels } from '../vault/settings.ts';
import type { LogLevel, Settings } from './settings.ts';
import { clean, jsonText } from './terminal/output.ts';

export interface LogTarget {
  /** True when stderr is a terminal. */
  readonly terminal?: boolean;
  /** True for a program that runs on: its lines are JSON, except on a terminal. A command's lines are for people. */
  readonly service?: boolean;
  readonly write?: (line: string) => void;
  /** Called when a line held something that looked like a secret, which is a defect. */
  readonly onScrubbed?: () => void;
}

/** A logger on stderr from the given level up: one sentence per line for people, else JSON. */
export function stderrLogger(
  world: World,
  { logLevel, json }: Pick<Settings, 'logLevel' | 'json'>,
  target: LogTarget = {},
): Logger {
  const {
    terminal = process.stderr.isTTY,
    service = false,
    write = (line) => void process.stderr.write(line),
    onScrubbed = () => {},
  } = target;
  const lowest = logLevels.indexOf(logLevel);
  const form = json || (service && !terminal) ? jsonLine : terminal ? terminalLine : sentence;
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

/** A logger without the warnings that a command says in its own words. */
export function without(logger: Logger, told: readonly string[]): Logger {
  return {
    ...logger,
    warn: (message, fields) => {
      if (!told.includes(message)) logger.warn(message, fields);
    },
  };
}

function jsonLine(world: World, level: LogLevel, message: string, fields: LogFields): string {
  return jsonText({ time: new Date(world.now()).toISOString(), level, message, ...fields });
}

const levelWords: Readonly<Record<LogLevel, string>> = {
  debug: 'debug',
  info: 'note',
  warn: 'warning',
  error: 'error',
};

/** Clears the line of a spinner first. */
function terminalLine(...line: Parameters<typeof sentence>): string {
  return `\r\u001b[2K${sentence(...line)}`;
}

/** Such as `grantry: warning: the spool is slow (tenant acme, ms 1200)`. */
function sentence(_world: World, level: LogLevel, message: string, fields: LogFields): string {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const about = known.map(([name, value]) => `${name} ${String(value)}`).join(', ');
  return clean(`grantry: ${levelWords[level]}: ${message}${about === '' ? '' : ` (${about})`}`);
}
