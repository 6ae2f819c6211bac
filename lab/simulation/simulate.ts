import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Runs the simulation in a process of its own: its ports must be in place before the product is loaded. */
export async function simulate(args: readonly string[]): Promise<{ output: string; failed: boolean }> {
  try {
    const { stdout } = await run(process.execPath, [main, ...args], { maxBuffer: 64 * 1_048_576 });
    return { output: stdout, failed: false };
  } catch (error) {
    // execFile puts what a failed program said beside its error.
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { output: `${stdout}${stderr}`, failed: true };
  }
}
