/**
 * The rules of plain English that a program can check, as functions of one file's path and text. `language.test.ts` plants
 * a violation of each; `npm run plain -- src/vault` lists those of a folder.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

import { isNode, type Node, parse, visit } from './rules.ts';

/** A word, and the word to say instead. */
const banned: readonly (readonly [RegExp, string])[] = [
  [/\b(?:whoever|whomever)\b/i, 'name the actor'],
  [/\b(?:nobody|no one)\b/i, 'name the actor: no caller, no process'],
  [/\b(?:somebody|someone)\b/i, 'name the actor'],
  [/\b(?:whatever|wherever)\b/i, 'say what or where'],
  [/\b(?:he|him|his|himself)\b/i, 'it, its'],
];

/** "Alone" is fine for what stands by itself, never for "only". */
const alone = /(?<!\b(?:stands?|leaves?|left|let|run|runs|used|works?) )\balone\b/i;

const fusedOpening = /^(?:What|Whether|Whoever|Of|How|Who|Where|That)\b/;
const wordsMax = 30;

/** A piece of prose: a comment, a text between quotes, or a paragraph. */
interface Prose {
  readonly line: number;
  readonly text: string;
  readonly kind: 'comment' | 'docstring' | 'string' | 'page';
}

/** All breaches in one file, each as a sentence. */
export function languageViolations(file: string, text: string): string[] {
  if (isItself(file)) return [];
  const found: string[] = [];
  for (const prose of proseOf(file, text)) {
    const say = (what: string): unknown => found.push(`line ${prose.line}: ${what}`);
    const words = unquoted(file, prose.text).replaceAll(/`[^`]*`/g, '`…`');
    for (const [word, instead] of banned) {
      const hit = word.exec(words);
      if (hit !== null) say(`"${hit[0]}" (${instead})`);
    }
    if (alone.test(words)) say('"alone" (only, before its word)');
    if (prose.kind !== 'docstring') continue;
    const opening = fusedOpening.exec(words);
    if (opening !== null) say(`a docstring begins with "${opening[0]}" (a verb or a noun)`);
    if (!file.startsWith('src/') || file.endsWith('.test.ts')) continue;
    for (const sentence of sentencesOf(words)) {
      const count = sentence.split(/\s+/).length;
      if (count > wordsMax) say(`a sentence of ${count} words, more than ${wordsMax}: ${sentence.slice(0, 40)}…`);
    }
  }
  return [...found, ...errorTexts(file, text)];
}

/** A command, a call or a route at the end of an action needs no full stop, so that it can be copied. */
const endsWithCommand =
  /: (?:\$\{commandFor\(.*|(?:grantry|openVault|createClient|openssl|GET|POST|PUT|DELETE)\b[^:]*)$/;

/** The messages and actions of errors: whole sentences, and a reason for each advice to try again. */
function errorTexts(file: string, text: string): string[] {
  if (!/^src\/.*(?<!\.test)\.ts$/.test(file) || !/GrantryError|\baction:/.test(text)) return [];
  const found: string[] = [];
  visit(parse(file, text), (node: Node) => {
    for (const { start, value, kind } of errorTextsOf(node, text)) {
      const say = (what: string): unknown => found.push(`line ${lineAt(text, start)}: ${what}`);
      if (kind === 'message' && /^(?!grantry )[a-z]+ /.test(value))
        say("an error's message begins with a lower-case word");
      const ends = /[.?]$/.test(value) || (kind === 'action' && endsWithCommand.test(value));
      if (!ends) say(`an error's ${kind} has no full stop: ${value.slice(0, 40)}`);
      if (/^Try again(?: later)?\.$/.test(value)) say(`"${value}" (say after what)`);
    }
  });
  return found;
}

interface ErrorText {
  readonly start: number;
  readonly value: string;
  readonly kind: 'message' | 'action';
}

function errorTextsOf(node: Node, text: string): ErrorText[] {
  const { type, callee, arguments: given, key, value } = node;
  if (type === 'NewExpression' && nameOf(callee) === 'GrantryError' && Array.isArray(given)) {
    return textsOf(given[1], text).map((each) => ({ ...each, kind: 'message' }));
  }
  if (type !== 'Property' || nameOf(key) !== 'action') return [];
  // Routes name the right that they need in a word.
  const sentences = textsOf(value, text).filter((each) => each.value.includes(' '));
  return sentences.map((each) => ({ ...each, kind: 'action' }));
}

/** Texts of an expression; those of both branches of a condition, and none of what is computed elsewhere. */
function textsOf(node: unknown, text: string): { start: number; value: string }[] {
  if (!isNode(node)) return [];
  const { type, start, end, value } = node;
  if (type === 'Literal' && typeof value === 'string') return value === '' ? [] : [{ start, value }];
  if (type === 'TemplateLiteral') return [{ start, value: text.slice(start + 1, end - 1) }];
  if (type === 'ConditionalExpression') return [node['consequent'], node['alternate']].flatMap((n) => textsOf(n, text));
  return [];
}

function nameOf(node: unknown): unknown {
  return isNode(node) ? node['name'] : undefined;
}

/** These two must say the words that they look for. */
function isItself(file: string): boolean {
  return /^test\/tidy\/language(?:\.test)?\.ts$/.test(file);
}

function proseOf(file: string, text: string): Prose[] {
  if (file.endsWith('.md')) return pageProse(text);
  if (file.endsWith('.txt')) return scriptProse(text);
  if (!file.endsWith('.ts')) return [];
  const strings = stringsIn(file, text);
  const prose = strings.filter(({ value }) => value.trim().split(/\s+/).length > 2);
  return [
    ...prose.map(({ start, value }): Prose => ({ line: lineAt(text, start), text: value, kind: 'string' })),
    ...commentsIn(text, strings),
  ];
}

/** The page of the rules quotes what they forbid, in quotation marks and in the column "before" of its table. */
function unquoted(file: string, text: string): string {
  if (file !== 'docs/language.md') return text;
  return text.replaceAll(/"[^"]*"/g, '"…"').replace(/^\|[^|]*\|/, '|');
}

/** Markdown without its code: a line each, since a table's row is one. */
function pageProse(text: string): Prose[] {
  let fenced = false;
  return text.split('\n').flatMap((line, index): Prose[] => {
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    const code = fenced || /^(?: {4}|\t)/.test(line) || /^\s*(?:```|~~~)/.test(line);
    return code ? [] : [{ line: index + 1, text: line, kind: 'page' }];
  });
}

/** The comments of a session of the command line. */
function scriptProse(text: string): Prose[] {
  const lines = text.split('\n').map((line, index): Prose => ({ line: index + 1, text: line, kind: 'comment' }));
  return lines.filter(({ text: line }) => line.startsWith('#'));
}

interface Quoted {
  readonly start: number;
  readonly end: number;
  readonly value: string;
}

/** Strings, pieces of templates and regular expressions. */
function stringsIn(file: string, text: string): Quoted[] {
  const found: Quoted[] = [];
  visit(parse(file, text), (node: Node) => {
    if (node.type !== 'Literal' && node.type !== 'TemplateElement') return;
    const { value } = node;
    const prose =
      typeof value === 'string' ? value : node.type === 'TemplateElement' ? text.slice(node.start, node.end) : '';
    found.push({ start: node.start, end: node.end, value: prose });
  });
  return found;
}

/** Comments are what looks like one outside of every string. */
function commentsIn(text: string, strings: readonly Quoted[]): Prose[] {
  let bare = text;
  for (const { start, end } of strings) {
    bare = bare.slice(0, start) + bare.slice(start, end).replaceAll(/[^\n]/g, ' ') + bare.slice(end);
  }
  const found: Prose[] = [];
  for (const match of bare.matchAll(/\/\*[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n?)+|\/\/.*/gm)) {
    const kind = match[0].startsWith('/**') ? 'docstring' : 'comment';
    const said = match[0].replaceAll(/^[ \t]*(?:\/\*\*?|\*\/|\*|\/\/)[ \t]?|\*\/$/gm, '').trim();
    found.push({ line: lineAt(text, match.index), text: said, kind });
  }
  return found;
}

function sentencesOf(text: string): string[] {
  return text
    .replaceAll(/\n[ \t]*\n|\n(?=[-*\d@])/g, '. ')
    .split(/[.!?:;](?:\s|$)/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** Text files under version control in the houses that the rules are for. */
function writtenFiles(folder: string): string[] {
  const listed = execFileSync('git', ['ls-files', folder], { encoding: 'utf8' }).split('\n');
  return listed.filter((file) => /\.(?:ts|md|txt)$/.test(file) && !file.startsWith('bench/peers/') && existsSync(file));
}

if (import.meta.main) {
  let sum = 0;
  for (const file of writtenFiles(process.argv[2] ?? '.')) {
    const found = languageViolations(file, readFileSync(file, 'utf8'));
    sum += found.length;
    if (found.length > 0) process.stdout.write(`${file}\n${found.map((each) => `  ${each}\n`).join('')}`);
  }
  process.stdout.write(`${sum} violations\n`);
  process.exitCode = sum === 0 ? 0 : 1;
}
