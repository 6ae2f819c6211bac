import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

export interface Step {
  name: string;
  command: string;
  args: string[];
}

/** A step that takes longer hangs: it is killed and has failed. */
const stepMsMax = 90 * 60_000;

/** A script of ours, on the Node.js that runs this one. */
export function script(name: string, file: string, ...args: string[]): Step {
  return { name, command: process.execPath, args: [file, ...args] };
}

/** A tool out of node_modules. */
export function tool(name: string, binary: string, ...args: string[]): Step {
  return { name, command: `node_modules/.bin/${binary}`, args };
}

export function vitest(name: string, ...args: string[]): Step {
  return script(name, 'node_modules/vitest/vitest.mjs', 'run', ...args);
}

/** The checks that run no tests, quickest first. */
export const staticChecks: readonly Step[] = [
  tool('format', 'biome', 'check', '--linter-enabled=false', '.'),
  tool('lint', 'oxlint', '--type-aware', '--deny-warnings'),
  tool('types', 'tsc', '--noEmit', '-p', 'tsconfig.json'),
  tool('unused files, exports and dependencies', 'knip'),
  script('api reference', 'scripts/docs.ts'),
];

/** Runs one step with its output shown; resolves to whether it succeeded. */
export async function runStep(step: Step): Promise<boolean> {
  const started = performance.now();
  process.stdout.write(`\n▶ ${step.name}\n`);
  const code = await exitCode(step);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const verdict = code === 0 ? 'ok' : code === null ? 'stopped: it took too long or was killed' : `exit code ${code}`;
  process.stdout.write(`${code === 0 ? '✓' : '✗'} ${step.name}: ${verdict} (${seconds} s)\n`);
  return code === 0;
}

let child: ChildProcess | undefined;

/** Ends the step that runs when this process is told to end, then calls `then`. */
export function whenStopped(then: (signal: string) => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not once: npm passes on the signal that a terminal has sent already.
    process.on(signal, () => {
      stopStep();
      then(signal);
    });
  }
}

/** Ends the step that runs, with everything that it started. */
function stopStep(): void {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, 'SIGKILL');
}

function exitCode({ command, args }: Step): Promise<number | null> {
  return new Promise((resolve) => {
    child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      // Its own group, so that what it started ends with it.
      detached: true,
      env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env['PATH'] ?? ''}` },
    });
    const timer = setTimeout(stopStep, stepMsMax);
    const end = (code: number | null): void => {
      clearTimeout(timer);
      resolve(code);
    };
    child.once('error', (error) => {
      process.stderr.write(`${error.message}\n`);
      end(1);
    });
    child.once('exit', end);
  });
}

/** Without its packages nothing here works: says what to do instead of failing somewhere inside. */
export function requirePackages(): void {
  if (existsSync(`${root}node_modules/.bin/vitest`)) return;
  process.stderr.write('The packages are not installed: run "npm ci" first.\n');
  process.exit(1);
}
