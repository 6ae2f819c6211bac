import { actingAs, userOfMachine } from '../base/acting.ts';
import { handOutToken } from './commands/token.ts';
import { contextFor } from './context.ts';
import { catchSignals, isEnding } from './signals.ts';
import { flush, ignoreClosedPipes } from './terminal/output.ts';
import { recogniseToken } from './token-arguments.ts';
import { catchWarnings } from './warnings.ts';

// The entry of the program. Scripts call `grantry token` often, so its plain forms are parsed here, without loading the
// command-line library. All else, including --help and mistakes in `grantry token`, goes through the full parser.

async function run(words: readonly string[]): Promise<number> {
  // The audit log names the user of this machine.
  const here = { actor: userOfMachine(), source: 'cli' };
  try {
    const token = recogniseToken(words);
    if (token !== null) {
      await actingAs(here, () => handOutToken(contextFor(token.flags), token));
    } else {
      const { runProgram } = await import('./program.ts');
      await actingAs(here, () => runProgram(words));
    }
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // A signal is ending the program; this error is only its consequence.
    if (isEnding()) return 1;
    const { reportError } = await import('./terminal/report.ts');
    return reportError(error, wantsJson(words));
  }
}

function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return words.slice(0, end === -1 ? words.length : end).includes('--json');
}

async function main(): Promise<void> {
  // First, since the parser prints its help itself.
  ignoreClosedPipes();
  catchWarnings();
  catchSignals();
  const exitCode = await run(process.argv.slice(2));
  if (isEnding()) return;
  await flush();
  // Idle connections and unread standard input must not keep the program alive.
  process.exit(exitCode);
}

// The bundle is CommonJS, which loads faster than modules and has no top-level await.
void main();
