import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

export interface Step {
  name: string;
  command: string;
  args: string[];
  /** A step that takes longer is killed and has failed. */
  minutesMax?: number;
}

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

function exitCode({ command, args, minutesMax = 10 }: Step): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      // Its own group, so that what it started ends with it.
      detached: true,
      env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env['PATH'] ?? ''}` },
    });
    const stop = (): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(stop, minutesMax * 60_000);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        stop();
        process.exit(1);
      });
    }
    child.once('error', (error) => {
      clearTimeout(timer);
      process.stderr.write(`${error.message}\n`);
      resolve(1);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      process.removeAllListeners('SIGINT');
      process.removeAllListeners('SIGTERM');
      resolve(code);
    });
  });
}

/** Without its packages nothing here works: says what to do instead of failing somewhere inside. */
export function requirePackages(): void {
  if (existsSync(`${root}node_modules/.bin/vitest`)) return;
  process.stderr.write('The packages are not installed: run "npm ci" first.\n');
  process.exit(1);
}
