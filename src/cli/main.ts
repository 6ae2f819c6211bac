import { handOutToken } from './commands/token.ts';
import { contextFor } from './context.ts';
import { reportError } from './terminal/errors.ts';
import { flush, ignoreClosedPipes } from './terminal/output.ts';
import { recogniseToken } from './token-arguments.ts';

// The entry of the program. Handing out a token is what scripts do all day: the plain forms of that call are recognised
// here and reach the vault without a command-line library being loaded. Everything else, --help and mistakes in
// `grantry token` included, goes through the full parser.

async function run(words: readonly string[]): Promise<number> {
  try {
    const token = recogniseToken(words);
    if (token !== null) {
      await handOutToken(contextFor(token.flags), token);
    } else {
      const { runProgram } = await import('./program.ts');
      await runProgram(words);
    }
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return reportError(error, wantsJson(words));
  }
}

function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return words.slice(0, end === -1 ? words.length : end).includes('--json');
}

async function main(): Promise<void> {
  // Before anything is written: the parser prints its help by itself.
  ignoreClosedPipes();
  const exitCode = await run(process.argv.slice(2));
  await flush();
  // Idle connections and unread standard input must not keep the program alive.
  process.exit(exitCode);
}

// The bundle is CommonJS, where nothing may be awaited at the top: that loads quicker than modules do.
void main();
