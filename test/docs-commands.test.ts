import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/**
 * Returns what zsh, the shell of every Mac, would not pass on as it is written: file patterns without a match end the
 * command there. A comment at the end of a line is taken for arguments.
 */
function zshFaults(command: string): string[] {
  // Quoted text, and expansions that the shell itself is asked for.
  const bare = command.replaceAll(/'[^']*'|"(?:[^"\\]|\\.)*"|\\./g, 'x').replaceAll(/\$\([^)]*\)|\$[?*#@]/g, 'x');
  const faults = bare.split(/\s+/).filter((word) => /[?*]|\w\[/.test(word));
  return /\s#/.test(bare) ? [...faults, '#'] : faults;
}

/** The commands in a page: blocks for a shell, lines after `$` in a console, and indented lines that begin with one. */
function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/^```(sh|bash|console)\n([\s\S]*?)^```/gm)].flatMap(([, kind, body = '']) => {
    const lines = body.replaceAll('\\\n', ' ').split('\n');
    return kind === 'console' ? lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2)) : lines;
  });
  const indented =
    text.replaceAll('\\\n', ' ').match(/^ {4}(?:[A-Z_]+=\S+ )*(?:grantry|curl|npm|npx|export|openssl) .*$/gm) ?? [];
  return [...blocks.filter((line) => !line.startsWith('#')), ...indented.map((line) => line.trim())];
}

test.each([...globSync('*.md'), ...globSync('docs/**/*.md')])('the commands of %s run in zsh', (page) => {
  const faults = commandsIn(readFileSync(page, 'utf8')).map((command) => [command, zshFaults(command)]);
  expect(faults.filter(([, found]) => found?.length !== 0)).toEqual([]);
});

test('a pattern and a comment are found, and quoted ones are none', () => {
  expect(zshFaults('curl http://x/y?a=1 # why')).toEqual(['http://x/y?a=1', '#']);
  expect(zshFaults(`curl 'http://x/y?a=1' "b*" $(a ?) \\?`)).toEqual([]);
  expect(commandsIn('    grantry call a b GET /x?y=1\n\n```console\n$ curl a \\\n  b?\nout?\n```\n')).toEqual([
    'curl a    b?',
    'grantry call a b GET /x?y=1',
  ]);
});

test('no YAML of a page holds a number that parsers read differently', () => {
  // YAML 1.1 reads 0400 as 256, and YAML 1.2 as 400.
  for (const page of globSync('docs/**/*.md')) {
    const blocks = [...readFileSync(page, 'utf8').matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)].map(([, body]) => body);
    expect(blocks.join('\n'), page).not.toMatch(/[:,[-]\s+0\d+\b/);
  }
});
