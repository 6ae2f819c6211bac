/** Plants one violation of each rule that the linter keeps, and expects the linter to find it with our configuration. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

const lines = (count: number): string => '// A line.\n'.repeat(count);
const calls = (count: number): string => 'f();\n'.repeat(count);

const planted: readonly [rule: string, file: string, text: string][] = [
  ['max-lines', 'src/long-file.ts', lines(401)],
  ['max-lines', 'src/long.test.ts', lines(601)],
  ['max-lines-per-function', 'src/long-function.ts', `export function f(): void {\n${calls(70)}}\n`],
  ['max-lines-per-function', 'src/long-method.ts', `export class A {\n  a(f: () => void): void {\n${calls(70)}}\n}\n`],
  ['filename-case', 'src/CamelCase.ts', lines(1)],
  ['no-default-export', 'src/default.ts', 'export default 1;\n'],
  ['no-cycle', 'src/circle-a.ts', `import type { B } from './circle-b.ts';\nexport type A = B | 1;\n`],
  ['no-cycle', 'src/circle-b.ts', `import type { A } from './circle-a.ts';\nexport type B = A | 2;\n`],
  ['no-explicit-any', 'test/any.ts', 'export const a = (b: any): unknown => b;\n'],
  ['no-non-null-assertion', 'src/assertion.ts', 'export const a = (b: string | null): string => b!;\n'],
];

let folder = '';
let output = '';

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'grantry-lint-'));
  copyFileSync('.oxlintrc.json', path.join(folder, '.oxlintrc.json'));
  for (const [, file, text] of planted) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  const linter = path.resolve('node_modules/.bin/oxlint');
  output = spawnSync(process.execPath, [linter, '--format=unix', '.'], { cwd: folder, encoding: 'utf8' }).stdout;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(planted)('the linter reports %s in %s', (rule, file) => {
  const reports = output.split('\n').filter((line) => line.includes(file));
  expect(reports.join('\n')).toContain(`(${rule})`);
});
