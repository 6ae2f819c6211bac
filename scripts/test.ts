/**
 * `npm test`: everything. Each step of its own counts as one, each test of the suite as one; the last line is the sum.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';

import { requirePackages, root, runStep, script, staticChecks, vitest } from './steps.ts';

const suiteReport = `${root}.tmp/vitest.json`;

interface Tally {
  passed: number;
  failed: number;
}

requirePackages();
const total: Tally = { passed: 0, failed: 0 };
for (const step of [...staticChecks, script('build', 'scripts/build.ts')]) add(single(await runStep(step)));
add(await suite());
add(single(await runStep(script('model', 'lab/model/main.ts'))));
add(single(await runStep(script('package', 'scripts/package-test.ts'))));
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

async function suite(): Promise<Tally> {
  mkdirSync(`${root}.tmp`, { recursive: true });
  rmSync(suiteReport, { force: true });
  const ok = await runStep({
    ...vitest('tests', '--reporter=default', '--reporter=json', `--outputFile.json=${suiteReport}`),
    minutesMax: 20,
  });
  const counted = readReport();
  // A file that does not load, or an error outside any test, fails the run without failing a test.
  if (!ok && counted.failed === 0) counted.failed = 1;
  return counted;
}

function readReport(): Tally {
  try {
    const report: unknown = JSON.parse(readFileSync(suiteReport, 'utf8'));
    return { passed: numberIn(report, 'numPassedTests'), failed: numberIn(report, 'numFailedTests') };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

function numberIn(report: unknown, name: string): number {
  const value: unknown = typeof report === 'object' && report !== null ? Reflect.get(report, name) : undefined;
  if (typeof value !== 'number') throw new TypeError(`the test report has no ${name}`);
  return value;
}

function single(ok: boolean): Tally {
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function add(tally: Tally): void {
  total.passed += tally.passed;
  total.failed += tally.failed;
}
