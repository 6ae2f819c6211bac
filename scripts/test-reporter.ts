/**
 * Reports the tests to `npm test` while they run: a line per file, each failure the moment it happens, and every result
 * in a file, so that nothing is lost when the run is stopped.
 */
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

import { root } from './steps.ts';
import { type Result, resultsFile } from './tally.ts';

export default class TestReporter implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const { state, errors = [] } = test.result();
    if (state === 'skipped' || state === 'pending') return;
    record({ name: `${fileOf(test.module)} > ${test.fullName}`, passed: state === 'passed' }, errors);
  }

  onTestModuleEnd(module: TestModule): void {
    const file = fileOf(module);
    // Errors of the file itself, such as one that does not load or a hook that fails, fail no test.
    const errors = [...module.errors(), ...[...module.children.allSuites()].flatMap((suite) => suite.errors())];
    if (errors.length > 0) record({ name: file, passed: false }, errors);
    const tests = [...module.children.allTests()].length;
    const seconds = (module.diagnostic().duration / 1_000).toFixed(1);
    process.stdout.write(`  ${module.ok() ? '✓' : '✗'} ${file} (${tests} tests, ${seconds} s)\n`);
  }

  onTestRunEnd(_modules: readonly TestModule[], errors: readonly Failure[]): void {
    if (errors.length > 0) record({ name: 'an error outside of any test', passed: false }, errors);
  }
}

interface Failure {
  readonly message: string;
  readonly stack?: string | undefined;
  readonly diff?: string | undefined;
}

function record(result: Result, errors: readonly Failure[]): void {
  appendFileSync(resultsFile, `${JSON.stringify(result)}\n`);
  if (result.passed) return;
  process.stdout.write(`\n  ✗ ${result.name}\n`);
  for (const { message, stack = message, diff } of errors) {
    const text = [stack.includes(message) ? stack : `${message}\n${stack}`, ...(diff === undefined ? [] : [diff])];
    process.stdout.write(`${text.join('\n').replaceAll(/^/gm, '    ')}\n`);
  }
  process.stdout.write('\n');
}

function fileOf(module: TestModule): string {
  return relative(root, module.moduleId);
}
