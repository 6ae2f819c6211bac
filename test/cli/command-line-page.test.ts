import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { expect, test } from 'vitest';

import { commandNames } from '../../src/cli/program.ts';

const page = readFileSync('docs/command-line.md', 'utf8');

interface Written {
  readonly name: string;
  readonly text: string;
}

/** The source of each command, by its name. */
function sources(): Written[] {
  return globSync('src/cli/commands/*.ts')
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => ({ name: path.basename(file, '.ts'), text: readFileSync(file, 'utf8') }));
}

test('names every command of the program', () => {
  expect(commandNames.length).toBeGreaterThan(15);
  expect(commandNames.filter((name) => !new RegExp(`^###.*\`grantry ${name}\\b`, 'm').test(page))).toEqual([]);
});

test('names every subcommand', () => {
  const names = sources().flatMap(({ name, text }) =>
    [...text.matchAll(/\.command\('([\w-]+)'\)/g)].map((match) => `${name} ${match[1]}`),
  );
  expect(names.length).toBeGreaterThan(8);
  expect(names.filter((name) => !new RegExp(`^###.*\`grantry ${name}\``, 'm').test(page))).toEqual([]);
});

test('names every option of every command, in its section', () => {
  for (const { name, text } of sources()) {
    const options = [...text.matchAll(/ption\(\s*'(?:-\w, )?(--[\w-]+)/g)].map((match) => match[1] ?? '');
    expect(
      options.filter((option) => !sectionOf(name).includes(option)),
      name,
    ).toEqual([]);
  }
});

test('names no command that does not exist', () => {
  const used = [...page.matchAll(/^(?:\$|###| {4}).*?grantry ([a-z]+)\b/gm)].map((match) => match[1] ?? '');
  expect(used.length).toBeGreaterThan(20);
  expect(used.filter((name) => !commandNames.includes(name))).toEqual([]);
});

/** Everything below the headings that name the command, up to the next heading. */
function sectionOf(command: string): string {
  const sections = page.split(/^(?=##)/m);
  return sections.filter((section) => new RegExp(`^###.*\`grantry ${command}\\b`).test(section)).join('\n');
}
