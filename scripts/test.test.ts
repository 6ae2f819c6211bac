/** `npm run test:long` in a small project of its own, with a test that passes, one that fails and one that hangs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { root } from './steps.ts';
import { parseResults } from './tally.ts';

let folder = '';

beforeEach(() => {
  mkdirSync(`${root}.tmp`, { recursive: true });
  folder = mkdtempSync(`${root}.tmp/test-script-`);
  for (const name of ['test', 'steps', 'tally', 'test-reporter']) {
    cpSync(`${root}scripts/${name}.ts`, path.join(folder, 'scripts', `${name}.ts`));
  }
  cpSync(`${root}test/support/memory-tmp.ts`, path.join(folder, 'test/support/memory-tmp.ts'));
  symlinkSync(`${root}node_modules`, path.join(folder, 'node_modules'));
  write('lab/model/main.ts', '');
  const include = `projects: [{ test: { name: 'long', include: ['*.test.ts'] } }]`;
  write('vitest.config.ts', `export default { test: { fileParallelism: false, ${include} } };`);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('prints a failure when it happens and again in the sum', async () => {
  writeTest('one', `test('holds', () => {}); test('breaks', () => { throw new Error('seen at once'); });`);
  writeTest('two', `test('holds as well', () => {});`);
  const { text, code } = await run();
  expect(text.indexOf('seen at once')).toBeLessThan(text.indexOf('✗ one.test.ts (2 tests'));
  expect(text.split('\n').slice(-5)).toEqual(['Failed:', '  ✗ one.test.ts > breaks', '', '3 passed, 1 failed', '']);
  expect(code).toBe(1);
});

test('counts a file that does not load, and an error outside of any test', async () => {
  writeTest('one', `throw new Error('not loaded');`);
  writeTest('two', `test('holds', () => { Promise.reject(new Error('left alone')); });`);
  const { text } = await run();
  expect(text).toContain('not loaded');
  expect(text).toContain('left alone');
  expect(text).toMatch(/\n2 passed, 2 failed\n$/);
});

test.each([
  ['skips every test', `test.skip('holds', () => {});`],
  ['has only tests to do', `test.todo('holds');`],
])('fails a suite that %s', async (_, body) => {
  writeTest('one', body);
  const { text, code } = await run();
  expect(text.split('\n').slice(-5)).toEqual([
    'Failed:',
    '  ✗ tests (long) (ran no test)',
    '',
    '1 passed, 1 failed',
    '',
  ]);
  expect(code).toBe(1);
});

test('fails a suite in which a focused test hides another one', async () => {
  writeTest('one', `test.only('holds', () => {}); test('breaks', () => { throw new Error('hidden'); });`);
  const { text, code } = await run();
  expect(text).toMatch(/, [1-9] failed\n$/);
  expect(code).toBe(1);
});

test('keeps its results and names its failures when it is stopped', async () => {
  writeTest('one', `test('holds', () => {}); test('breaks', () => { throw new Error('seen'); });`);
  writeTest('two', `test('hangs', () => new Promise(() => {}), 600_000);`);
  const { text, code } = await run((seen, child) => {
    if (seen.includes('✗ one.test.ts (2 tests')) child.kill('SIGTERM');
  });
  const failed = ['  ✗ one.test.ts > breaks', '  ✗ tests (long) (stopped by SIGTERM)'];
  expect(text.split('\n').slice(-6)).toEqual(['Failed:', ...failed, '', '1 passed, 2 failed', '']);
  expect(code).toBe(1);
});

test('passes over a result that a killed process left in half', () => {
  expect(parseResults('{"name":"a","passed":true}\n{"name":"b","pas')).toEqual([{ name: 'a', passed: true }]);
});

function write(name: string, text: string): void {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function writeTest(name: string, body: string): void {
  write(`${name}.test.ts`, `import { test } from 'vitest';\n${body}\n`);
}

function run(watch: (seen: string, child: ChildProcess) => void = () => {}) {
  const child = spawn(process.execPath, ['scripts/test.ts', 'long'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  return new Promise<{ text: string; code: number | null }>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      watch(text, child);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ text, code }));
  });
}
