/** `npm run check`: format, lint, types, unused code, and the repository's own rules. */
import { requirePackages, runStep, staticChecks, vitest, whenStopped } from './steps.ts';

requirePackages();
whenStopped(() => process.exit(1));
const failed: string[] = [];
for (const step of [...staticChecks, vitest('house rules', 'test/tidy')]) {
  if (!(await runStep(step))) failed.push(step.name);
}
process.stdout.write(failed.length === 0 ? '\nAll checks passed.\n' : `\nFailed: ${failed.join(', ')}.\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
