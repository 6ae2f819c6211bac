import { usageError } from '../terminal/errors.ts';
import { decodeText } from '../terminal/prompt.ts';

/** The assignments of an env file. */
export interface EnvFile {
  readonly values: ReadonlyMap<string, string>;
  /** Keys that are given more than once with different values; the last one counts, as in a shell. */
  readonly repeated: readonly string[];
}

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$/s;

/**
 * Reads an env file as shells and dotenv programs do, with `export`, quotes, comments, Windows line ends and a byte order
 * mark. It expands and executes nothing.
 *
 * @throws {GrantryError} `invalid_request` naming the line that is no assignment; never its content, which may be secret
 */
export function parseEnvFile(bytes: Uint8Array, subject: string): EnvFile {
  const lines = decodeText(bytes, subject).split(/\r\n|\n|\r/);
  const values = new Map<string, string>();
  const repeated = new Set<string>();
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (/^\s*(#|$)/.test(line)) continue;
    const [, key, rest] = assignment.exec(line) ?? [];
    if (key === undefined || rest === undefined) {
      throw usageError(
        `Line ${index + 1} of ${subject} does not have the form KEY=VALUE.`,
        'Correct the line, or put # in front of it.',
      );
    }
    const quote = /^["'`]/.exec(rest)?.[0];
    let value: string;
    if (quote === undefined) {
      value = rest.replace(/(^|\s)#.*$/s, '').trim();
    } else {
      const first = index;
      let text = rest.slice(1);
      // A quoted value may span several lines, as private keys do.
      while (closingQuote(text, quote) === -1 && index + 1 < lines.length) {
        index += 1;
        text += `\n${lines[index] ?? ''}`;
      }
      const end = closingQuote(text, quote);
      if (end === -1)
        throw usageError(`The quote in line ${first + 1} of ${subject} is not closed.`, 'Close the quote.');
      if (!/^\s*(#.*)?$/s.test(text.slice(end + 1))) {
        throw usageError(`Line ${index + 1} of ${subject} has text after its closing quote.`, 'Remove that text.');
      }
      value = quote === '"' ? unescape(text.slice(0, end)) : text.slice(0, end);
    }
    const before = values.get(key);
    if (before !== undefined && before !== value) repeated.add(key);
    values.set(key, value);
  }
  return { values, repeated: [...repeated] };
}

function closingQuote(text: string, quote: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (quote === '"' && text[index] === '\\') index += 1;
    else if (text[index] === quote) return index;
  }
  return -1;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescape(text: string): string {
  return text.replace(/\\([\s\S])/g, (whole, character: string) =>
    /["\\$`]/.test(character) ? character : (escapes[character] ?? whole),
  );
}
