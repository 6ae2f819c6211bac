import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const left = new Set(['node_modules', '.git', '.tmp', 'dist', '.gitignore']);

export interface Started {
  /** The last of its output, once it has ended. */
  readonly output: Promise<string>;
  /** Ends it with everything that it started. */
  readonly end: () => void;
}

/** A copy of the repository in which files are changed, so that no other process sees a mutant. */
export class Tree {
  readonly path: string;
  readonly #children = new Set<ChildProcess>();

  constructor(root: string) {
    this.path = mkdtempSync(join(tmpdir(), 'grantry-mutants-'));
    for (const name of readdirSync(root)) {
      if (!left.has(name)) cpSync(join(root, name), join(this.path, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(this.path, 'node_modules'));
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  /** Starts Node.js in this copy. */
  start(args: readonly string[], env: Record<string, string> = {}): Started {
    const child = spawn(process.execPath, args, {
      cwd: this.path,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: a mutant that hangs is ended with everything that it started.
      detached: true,
    });
    this.#children.add(child);
    let said = '';
    const listen = (chunk: Buffer): void => {
      said = (said + chunk.toString('utf8')).slice(-20_000);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    const output = new Promise<string>((resolve) => {
      child.on('close', () => {
        this.#children.delete(child);
        resolve(said);
      });
    });
    return { output, end: () => end(child) };
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
