import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { root } from '../steps.ts';
import { NotProven } from './report.ts';

/** Exit code and output of an ended program. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A running program. */
export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves to the first match in the stream's output; rejects when the program ends without one. */
  written(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray>;
}

/** A temporary folder and the processes of the demo; closing removes all of them. */
export class Stage {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'grantry-demo-'));
  readonly home = path.join(this.folder, 'home');
  readonly #running = new Set<Running>();
  #closed = false;

  /** Starts the built program in the temporary home. */
  start(args: readonly string[], stdin = ''): Running {
    if (this.#closed) throw new Error('the demo has ended');
    const child = spawn(process.execPath, [path.join(root, 'bin', 'grantry.js'), ...args], {
      cwd: this.folder,
      env: this.#environment(),
      stdio: 'pipe',
      // A Ctrl-C only reaches the demo, which then ends its children itself.
      detached: true,
    });
    const running = watch(child);
    this.#running.add(running);
    void running.ended.finally(() => this.#running.delete(running));
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    return running;
  }

  /** Runs the built program to its end and returns its standard output. @throws {NotProven} when it fails */
  async grantry(args: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await this.start(args, stdin).ended;
    if (code !== 0) throw new NotProven(`grantry ${args[0]}`, 'exit code 0', `${code}: ${stderr.trim()}`);
    return stdout.trimEnd();
  }

  /** Ends the processes that still run, then removes the folder. */
  async close(): Promise<void> {
    this.#closed = true;
    const left = [...this.#running];
    for (const { process: child } of left) child.kill('SIGKILL');
    await Promise.all(left.map((each) => each.ended));
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #environment(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('GRANTRY_') && name !== 'NODE_OPTIONS');
    return {
      ...Object.fromEntries(own),
      GRANTRY_HOME: this.home,
      // The simulator runs on this machine; a real provider never does.
      GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
    };
  }
}

function watch(child: ChildProcess): Running {
  const text = { stdout: '', stderr: '' };
  const look = new Set<() => void>();
  let over = false;
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (chunk: string) => {
      text[stream] += chunk;
      for (const each of look) each();
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      over = true;
      for (const each of look) each();
      resolve({ code, ...text });
    });
  });
  return {
    process: child,
    ended,
    written: (stream, pattern) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const match = pattern.exec(text[stream]);
          if (match === null && !over) return;
          look.delete(check);
          if (match !== null) resolve(match);
          else reject(new NotProven('a running program', 'a line of output', `its end: ${text.stderr.trim()}`));
        };
        look.add(check);
        check();
      }),
  };
}
