import { recogniseToken } from './token-arguments.ts';

// The entry of the program. Handing out a token is what scripts do all day: the plain forms of that call are recognised
// here and reach the vault without a command-line library being loaded. Everything else, --help and mistakes in
// `grantry token` included, goes through the full parser.

async function run(words: readonly string[]): Promise<number> {
  try {
    const token = recogniseToken(words);
    if (token !== null) {
      const [{ handOutToken }, { contextFor }] = await Promise.all([
        import('./commands/token.ts'),
        import('./context.ts'),
      ]);
      await handOutToken(contextFor(token.flags), token);
    } else {
      const { runProgram } = await import('./program.ts');
      await runProgram(words);
    }
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const { reportError } = await import('./errors.ts');
    return reportError(error, wantsJson(words));
  }
}

function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return words.slice(0, end === -1 ? words.length : end).includes('--json');
}

const exitCode = await run(process.argv.slice(2));
const { flush } = await import('./output.ts');
await flush();
// Idle connections and unread standard input must not keep the program alive.
process.exit(exitCode);
