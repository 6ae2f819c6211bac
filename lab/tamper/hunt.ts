import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Guard, guards } from './guards.ts';

const foundSchema = z.object({ rounds: z.number(), seconds: z.number(), leak: z.string().optional() });
type Found = z.output<typeof foundSchema>;

/**
 * Takes one guard after the other out of the source, in a process of its own, and prints what the lab found without it.
 * Returns the exit code: 1 if a guard can go without anything to see.
 */
export async function huntGuards(options: {
  seconds: number;
  seed: number;
  kinds: readonly string[];
}): Promise<number> {
  const rows: string[] = [];
  let exitCode = 0;
  for (const kind of options.kinds) {
    for (const guard of guards) {
      const found = await hunt(guard, kind, options);
      if (found.leak === undefined) exitCode = 1;
      const said = found.leak?.replaceAll('|', '/') ?? 'nothing';
      const row = [
        `\`${guard.name}\``,
        guard.guard,
        kind,
        said,
        `${found.rounds}`,
        `${found.seconds}`,
        `${options.seed}`,
      ];
      rows.push(`| ${row.join(' | ')} |`);
      process.stderr.write(`${guard.name}, ${kind}: ${said}\n`);
    }
  }
  const head = ['taken out', 'guard', 'database', 'first leak', 'rounds', 'seconds', 'seed'];
  process.stdout.write(`| ${head.join(' | ')} |\n|${' --- |'.repeat(head.length)}\n${rows.join('\n')}\n`);
  return exitCode;
}

const crashesMax = 10;

/**
 * Runs the lab without one guard until the first leak, or for so long. The maimed program may stumble over a row that the
 * guard would have refused: that is no leak, and the lab goes on with the next seed.
 */
export async function hunt(
  guard: Guard,
  kind: string,
  { seconds, seed }: { seconds: number; seed: number },
): Promise<Found> {
  for (let crashes = 0; ; crashes += 1) {
    const { line, said } = await runWithout(guard, kind, { seconds, seed: seed + crashes });
    if (line.startsWith('{')) return foundSchema.parse(JSON.parse(line));
    if (crashes === crashesMax) throw new Error(`${guard.name}: ${said}`);
  }
}

async function runWithout(guard: Guard, kind: string, { seconds, seed }: { seconds: number; seed: number }) {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const options = ['--seconds', `${seconds}`, '--seed', `${seed}`, '--database', kind];
  const child = spawn(process.execPath, [main, '--mutation', guard.name, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, said] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  return { line: out.trim().split('\n').at(-1) ?? '', said };
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
