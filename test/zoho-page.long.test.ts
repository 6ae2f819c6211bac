import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

interface Block {
  readonly language: 'js' | 'ts';
  readonly line: number;
  readonly code: string;
  readonly expected: string;
}

/** The page promises that each piece of code on it runs, and prints what stands below it. */
test('every piece of code in docs/zoho.md prints what the page says', async () => {
  const page = readFileSync('docs/zoho.md', 'utf8');
  const blocks = blocksOf(page);
  expect(blocks.filter(({ language }) => language === 'js').length).toBeGreaterThanOrEqual(7);
  expect(blocks.length).toBe([...page.matchAll(/^```(?:js|ts)$/gm)].length);
  mkdirSync('.tmp', { recursive: true });
  // Inside the package, so that a block finds the packages that it imports.
  const folder = mkdtempSync('.tmp/zoho-page-');
  try {
    const files = blocks.map(({ language, line, code }) => {
      const file = path.resolve(folder, `line-${line}.${language}`);
      writeFileSync(file, code);
      return file;
    });
    const harness = path.resolve('test/support/zoho-page-run.ts');
    const { stdout } = await promisify(execFile)(process.execPath, ['--no-deprecation', harness, ...files], {
      env: { PATH: process.env['PATH'], TMPDIR: process.env['TMPDIR'] },
      maxBuffer: 1_000_000,
    });
    const printed: string[] = JSON.parse(stdout);
    for (const [index, { line, expected }] of blocks.entries()) {
      expect(printed[index], `docs/zoho.md:${line}`).toMatch(pattern(expected));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** A block with the text of its output below it. */
function blocksOf(page: string): Block[] {
  const pairs = /^```(js|ts)\n([\s\S]*?)^```\n\n```text\n([\s\S]*?)^```/gm;
  return [...page.matchAll(pairs)].map(([, language, code = '', expected = ''], index, all) => ({
    language: language === 'js' ? 'js' : 'ts',
    line: page.slice(0, all[index]?.index ?? 0).split('\n').length,
    code,
    expected: expected.trim(),
  }));
}

/** `…` stands for anything within a line. */
function pattern(expected: string): RegExp {
  const quoted = expected.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`).replaceAll('…', '.*');
  return new RegExp(`^${quoted}$`);
}
