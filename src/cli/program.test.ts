import { describe, expect, test, vi } from 'vitest';
import { settings } from '../vault/settings.ts';
import { commandNames, runProgram } from './program.ts';

const pages = [
  [],
  ...commandNames.map((name) => [name]),
  ['app', 'add'],
  ['app', 'list'],
  ['app', 'remove'],
  ['app', 'show'],
  ['key', 'child'],
  ['key', 'create'],
  ['key', 'list'],
  ['key', 'revoke'],
  ['key', 'update'],
  ['provider', 'add'],
  ['provider', 'list'],
  ['provider', 'remove'],
  ['provider', 'show'],
];

describe.each(pages.map((words) => ({ page: words.join(' '), words })))('the help of grantry $page', ({ words }) => {
  test('fits into 80 columns, without quotes around defaults', async () => {
    const text = await helpOf(words);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).not.toContain('default: "');
  });

  test('has the options of the command first and the global ones last', async () => {
    const text = await helpOf(words);
    const own = text.indexOf('\nOptions:');
    const globals = text.search(/\nGlobal options:/);
    expect(own).toBeGreaterThan(0);
    expect(globals).toBeGreaterThan(own);
    if (words.length > 0) expect(text.slice(globals).split('\n\n')[0]?.trim()).toMatch(/See\sgrantry\s--help\.$/);
  });
});

test('the help names every variable, that of the server in grantry serve', async () => {
  const root = await helpOf([]);
  const serve = await helpOf(['serve']);
  const missing = Object.values(settings).filter(
    (setting) => !('server' in setting ? serve : root).includes(setting.variable),
  );
  expect(missing).toEqual([]);
});

async function helpOf(words: readonly string[]): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await runProgram([...words, '--help']);
  } finally {
    write.mockRestore();
  }
  return text;
}
