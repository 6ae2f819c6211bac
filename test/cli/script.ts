/**
 * Terminal sessions as tests. A script is text:
 *
 *     # a remark
 *     + clients/acme.env            makes a file of the lines up to the next empty one
 *     ZOHO_DC=eu
 *
 *     $ grantry list --json         runs a command; `< FILE` gives it standard input, NAME=VALUE in front sets a variable,
 *                                   `cd DIRECTORY &&` before them runs it there
 *     []                            what it must print
 *     ! grantry: …                  what it must say on stderr
 *     ? 2                           its exit code, 0 where nothing is said
 *
 * In what is expected, `[...]` stands for anything within a line, and a line `...` for any number of lines; columns may be as wide as they like. `$SIM` is the
 * directory with the simulator's definitions, `$HOME` the directory in which the session runs.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { Home } from './grantry.ts';

export interface Step {
  readonly line: number;
  readonly command: string;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly code: number;
}

export interface Script {
  readonly files: ReadonlyMap<string, string>;
  readonly steps: readonly Step[];
}

export function parseScript(text: string): Script {
  const files = new Map<string, string>();
  const steps: { line: number; command: string; stdout: string[]; stderr: string[]; code: number }[] = [];
  let file: string | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const step = steps.at(-1);
    if (line === '') file = null;
    else if (file !== null) files.set(file, `${files.get(file) ?? ''}${line}\n`);
    else if (line.startsWith('+ ')) {
      file = line.slice(2);
      files.set(file, '');
    } else if (line.startsWith('$ '))
      steps.push({ line: index + 1, command: line.slice(2), stdout: [], stderr: [], code: 0 });
    else if (line.startsWith('#')) continue;
    else if (step === undefined) throw new Error(`line ${index + 1} belongs to no command`);
    else if (line.startsWith('? ')) step.code = Number(line.slice(2));
    else if (line.startsWith('! ')) step.stderr.push(line.slice(2));
    else step.stdout.push(line);
  }
  return { files, steps };
}

export async function runScript(
  script: Script,
  home: Home,
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  const fill = (text: string): string => text.replace(/\$([A-Z]+)/g, (whole, name: string) => variables[name] ?? whole);
  for (const [name, content] of script.files) {
    await mkdir(dirname(join(home.path, name)), { recursive: true });
    await writeFile(join(home.path, name), fill(content));
  }
  for (const step of script.steps) {
    const { args, env, stdin, directory } = parseCommand(fill(step.command));
    const opened = new Set<string>();
    const run = await home.run(args, {
      cwd: join(home.path, directory),
      env: { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1', ...env },
      stdin: stdin === null ? '' : await readFile(join(home.path, stdin)),
      onStderr: (said) => {
        // The session plays the browser as well: it opens the address that connect prints, and follows where it leads.
        const url = /^ {2}(http\S+)\n/m.exec(said)?.[1];
        if (url === undefined || opened.has(url) || !['connect', 'onboard'].includes(args[0] ?? '')) return;
        opened.add(url);
        fetch(url).then(
          (answer) => answer.text(),
          () => {},
        );
      },
    });
    const where = `line ${step.line}: $ ${step.command}`;
    const shown = `${where}\n${run.stdout}${run.stderr}[${run.code}]`;
    expect(matches(run.stdout, step.stdout.map(fill)), shown).toBe(true);
    expect(step.stderr.length === 0 || matches(run.stderr, step.stderr.map(fill)), shown).toBe(true);
    expect(run.code, shown).toBe(step.code);
  }
}

/** Words as a shell makes them, as far as scripts need it. */
function parseCommand(text: string): {
  args: string[];
  env: Record<string, string>;
  stdin: string | null;
  directory: string;
} {
  const [, directory = '.', command = ''] = /^(?:cd (\S+) && )?(.*)$/s.exec(text) ?? [];
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
  const env: Record<string, string> = {};
  while (/^[A-Z_]+=/.test(words[0] ?? '')) {
    const [name = '', ...value] = (words.shift() ?? '').split('=');
    env[name] = value.join('=');
  }
  if (words.shift() !== 'grantry') throw new Error(`not a grantry command: ${command}`);
  const input = words.indexOf('<');
  const stdin = input === -1 ? null : (words[input + 1] ?? null);
  return { args: input === -1 ? words : words.slice(0, input), env, stdin, directory };
}

function matches(text: string, expected: readonly string[]): boolean {
  const pattern = expected.map((line) =>
    line === '...' ? '(?:.*\\n)*?' : `${line.split('[...]').map(escaped).join('.*')} *\\n`,
  );
  return new RegExp(`^${pattern.join('')}\n*$`).test(text === '' || text.endsWith('\n') ? text : `${text}\n`);
}

function escaped(text: string): string {
  // How wide a column is depends on names that differ from run to run.
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&').replace(/ {2,}/g, ' {2,}');
}
