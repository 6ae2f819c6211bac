import { GrantryError } from '../base/errors.ts';
import { decodeKeyText, rootKeyBytes } from './root-key-text.ts';

/** Source of the root key. */
export type RootKeySource =
  | { kind: 'file'; path: string }
  | { kind: 'env'; name: string }
  | { kind: 'fd'; fd: number }
  | { kind: 'command'; program: string; args: readonly string[] };

const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
const fdPattern = /^(0|[3-9]|[1-9][0-9]{1,5})$/;
const forms = 'file:PATH, env:NAME, fd:N (not 1 or 2) or command:PROGRAM ARGS';

/**
 * Parses `file:PATH`, `env:NAME`, `fd:N` and `command:PROGRAM ARGS`.
 *
 * A command is split at spaces. Single or double quotes keep a part with spaces together. No other character is
 * special, because no shell runs the command.
 *
 * @throws {GrantryError} `invalid_request`; the message does not repeat the text, which may be the key itself.
 */
export function parseRootKeySource(text: string): RootKeySource {
  const colon = text.indexOf(':');
  const rest = text.slice(colon + 1);
  const source = rest === '' || rest.includes('\0') ? undefined : parseRest(text.slice(0, Math.max(colon, 0)), rest);
  if (source === undefined) throw new GrantryError('invalid_request', `The root key source must be ${forms}.`);
  return source;
}

/** Describes a source without its contents: a command's arguments may be secret. */
export function describeRootKeySource(source: RootKeySource): string {
  if (source.kind === 'file') return `the file ${source.path}`;
  if (source.kind === 'env') return `the environment variable ${source.name}`;
  return source.kind === 'fd' ? `file descriptor ${source.fd}` : `the command ${source.program}`;
}

function parseRest(scheme: string, rest: string): RootKeySource | undefined {
  switch (scheme) {
    case 'file':
      return looksLikeKey(rest) ? undefined : { kind: 'file', path: rest };
    case 'env':
      return variablePattern.test(rest) && !looksLikeKey(rest) ? { kind: 'env', name: rest } : undefined;
    case 'fd':
      return fdPattern.test(rest) ? { kind: 'fd', fd: Number(rest) } : undefined;
    case 'command': {
      const [program, ...args] = splitCommand(rest);
      return program === undefined || looksLikeKey(program) ? undefined : { kind: 'command', program, args };
    }
    default:
      return undefined;
  }
}

/** A shell that expands `env:$KEY` puts the key where its name belongs, and names are printed. */
function looksLikeKey(name: string): boolean {
  return decodeKeyText(Buffer.from(name))?.length === rootKeyBytes;
}

function splitCommand(text: string): readonly string[] {
  const parts: string[] = [];
  let part: string | undefined;
  let quote: string | undefined;
  for (const character of text) {
    if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else part = (part ?? '') + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      part ??= '';
    } else if (character === ' ') {
      if (part !== undefined) parts.push(part);
      part = undefined;
    } else part = (part ?? '') + character;
  }
  if (quote !== undefined) throw new GrantryError('invalid_request', 'A quote in the root key command is not closed.');
  if (part !== undefined) parts.push(part);
  return parts[0] === '' ? [] : parts;
}
