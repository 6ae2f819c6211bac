import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const left = new Set(['node_modules', '.git', '.tmp', 'dist', '.gitignore']);

/** A copy of the repository in which one worker changes files, so that no other process sees a mutant. */
export class Tree {
  readonly path: string;
  readonly #children = new Set<ChildProcess>();

  constructor(root: string) {
    this.path = mkdtempSync(join(tmpdir(), 'grantry-mutants-'));
    mkdirSync(this.path, { recursive: true });
    for (const name of readdirSync(root)) {
      if (!left.has(name)) cpSync(join(root, name), join(this.path, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(this.path, 'node_modules'));
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  /** Runs Node.js in this copy. `output` holds what it said; `late` says that it was ended after the time limit. */
  async run(
    args: readonly string[],
    how: { env?: Record<string, string>; limitMs: number },
  ): Promise<{ code: number | null; output: string; late: boolean }> {
    const child = spawn(process.execPath, args, {
      cwd: this.path,
      env: { ...process.env, ...how.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: a mutant that hangs is ended with everything that it started.
      detached: true,
    });
    this.#children.add(child);
    let output = '';
    const listen = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-200_000);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      end(child);
    }, how.limitMs);
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    clearTimeout(timer);
    this.#children.delete(child);
    return { code, output, late };
  }

  remove(): void {
    for (const child of this.#children) end(child);
    rmSync(this.path, { recursive: true, force: true });
  }
}

function end({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
