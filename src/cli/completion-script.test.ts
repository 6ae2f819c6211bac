import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { runProgram } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'grantry-completion-'));
/** Apart from where words are completed: a shell offers the files there too. */
const scripts = mkdtempSync(join(tmpdir(), 'grantry-completion-'));
afterAll(() => {
  for (const each of [folder, scripts]) rmSync(each, { recursive: true, force: true });
});

async function scriptFor(shell: string): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await runProgram(['completion', shell]);
  } finally {
    write.mockRestore();
  }
  return text;
}

/** Completes the last word of each line in one real shell, and returns the words that it offers, sorted. */
type Complete = (lines: readonly (readonly string[])[]) => string[][];

/** Runs a program that completes line after line. A mark ends the output of each. It may be too long for an argument. */
function run(shell: string, flags: readonly string[], program: string): string[][] {
  const file = join(scripts, shell);
  writeFileSync(file, program);
  const output = execFileSync(shell, [...flags, file], { encoding: 'utf8', cwd: folder });
  const parts = output.split('MARK\n').slice(0, -1);
  return parts.map((part) =>
    part
      .split('\n')
      .filter((line) => line !== '')
      .toSorted(),
  );
}

function quoted(words: readonly string[]): string {
  return ['grantry', ...words].map((word) => `'${word}'`).join(' ');
}

async function bash(): Promise<Complete> {
  const script = await scriptFor('bash');
  const complete = `COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 )); _grantry; printf '%s\\n' "\${COMPREPLY[@]}"; echo MARK`;
  const lineOf = (words: readonly string[]): string => `COMP_WORDS=(${quoted(words)}); ${complete}`;
  return (lines) => run('bash', [], [script, ...lines.map(lineOf)].join('\n'));
}

/** A real zsh, whose `compadd` prints the words that fit. Another test goes through `compinit`. */
async function zsh(): Promise<Complete> {
  const stand = `compdef() { : }
_files() { : }
compadd() { shift; print -l -- \${(M)@:#\${words[CURRENT]}*} }`;
  const script = await scriptFor('zsh');
  const lineOf = (words: readonly string[]): string =>
    `words=(${quoted(words)}); CURRENT=$#words; _grantry; print MARK`;
  return (lines) => run('zsh', ['-f'], [stand, script, ...lines.map(lineOf)].join('\n'));
}

async function fish(): Promise<Complete> {
  const script = await scriptFor('fish');
  const lineOf = (words: readonly string[]): string =>
    `complete -C '${['grantry', ...words].join(' ')}' | string replace -r '\\t.*' ''; echo MARK`;
  return (lines) => run('fish', ['--no-config'], [script, ...lines.map(lineOf)].join('\n'));
}

const isHere = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;

describe.each([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
] as const)('%s', (shell, load) => {
  const here = isHere(shell);

  test.runIf(!here)(`${shell} is not installed, so its completion is not tried`, (context) => {
    context.skip(`install ${shell} to try it`);
  });

  const cases: readonly [line: string[], offered: string[]][] = [
    [['d'], ['disconnect', 'doctor']],
    [
      ['app', ''],
      ['add', 'list', 'remove', 'show', 'slots'],
    ],
    [
      ['app', 'add', 'x', '--client'],
      ['--client-id', '--client-secret-file'],
    ],
    [['provider', 'show', 'xe'], ['xero']],
    [
      ['token', 'acme', 'zoho_cr'],
      ['zoho_creator', 'zoho_crm'],
    ],
    [['token', 'acme', 'zoho_crm', '--js'], ['--json']],
    [['serve', '--pub'], ['--public-url']],
    [['--vers'], ['--version']],
    // Options and their values are no words of the line.
    [['token', 'xe'], []],
    [['token', '--json', '--account', 'main', 'acme', 'xe'], ['xero']],
    [['token', '-t', '300', 'acme', 'xe'], ['xero']],
    [['token', 'acme', '--js'], ['--json']],
    [['token', 'key', 'xe'], ['xero']],
    // `list` is a command of its own too.
    [['key', 'list', '--sta'], []],
    [['list', '--sta'], ['--state']],
    // The rest belongs to another program.
    [['exec', 'acme', '--', 'x'], []],
    [['exec', 'acme', '--', 'x', '--pro'], []],
  ];

  test.runIf(here)('completes commands, commands below them, options and providers', async () => {
    const complete = await load();
    const offered = complete(cases.map(([line]) => line));
    expect(cases.map(([line], index) => [line, offered[index]])).toEqual(cases);
  });
});

test('bash takes the value of an option after an equals sign for no word', async () => {
  const complete = await bash();
  const lines = [
    ['token', '--account', '=', 'main', 'acme', 'xe'],
    ['token', '--account', '=', 'x'],
  ];
  expect(complete(lines)).toEqual([['xero'], []]);
});

const throughTerminal = String.raw`
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT='>'; $1; compadd() { local -a fit; builtin compadd -O fit \"\$@\"; [[ -n \$fit ]] && print -rl -- \$fit >>$2; builtin compadd \"\$@\" }; print READ''Y"
while zpty -r z line; do [[ $line == *READY* ]] && break; done
zpty -w -n z $'grantry provider show xe\t\n'
while zpty -r z line; do [[ $line == *'not found'* ]] && break; done
zpty -d z`;

test.runIf(isHere('zsh')).each([
  ['source it', (file: string) => `autoload -Uz compinit; compinit -u -D; source ${file}`],
  ['find it in fpath', () => `fpath=(${folder} $fpath); autoload -Uz compinit; compinit -u -D`],
])('zsh completes at its first try, for those who %s', async (how, load) => {
  const file = join(folder, '_grantry');
  writeFileSync(file, await scriptFor('zsh'));
  const seen = join(folder, `seen ${how}`.replaceAll(' ', '-'));
  writeFileSync(seen, '');
  const env = { ...process.env, TERM: 'dumb' };
  execFileSync('zsh', ['-f', '-c', throughTerminal, 'zsh', load(file), seen], { cwd: folder, env });
  expect(new Set(readFileSync(seen, 'utf8').split('\n'))).toEqual(new Set(['xero', '']));
});

test('no option takes a value in one command and none in another', async () => {
  const fishText = await scriptFor('fish');
  const found = [...fishText.matchAll(/ -l (\S+)( -r)? -d /g)].map(
    ([, name, value]) => [name ?? '', value !== undefined] as const,
  );
  const valued = new Map(found);
  expect(found.filter(([name, hasValue]) => valued.get(name) !== hasValue)).toEqual([]);
});

test('another shell is refused', async () => {
  await expect(scriptFor('tcsh')).rejects.toMatchObject({ code: 'invalid_request' });
});
