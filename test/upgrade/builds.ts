/** Real builds of the command line, and a place in which one is installed over another as a package manager does it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const parts = ['test/support', 'bin', 'src', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

export interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Builds this tree with changes, and returns the directory of the build. */
export async function build(changes: readonly Change[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'grantry-build-'));
  for (const part of parts) await cp(join(root, part), join(directory, part), { recursive: true });
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  for (const { file, from, to } of changes) {
    const text = await readFile(join(directory, file), 'utf8');
    if (!text.includes(from)) throw new Error(`${file} does not hold ${from}`);
    await writeFile(join(directory, file), text.replace(from, to));
  }
  await promisify(execFile)(process.execPath, ['scripts/build.ts'], { cwd: directory });
  return directory;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One machine: a place of the program, and a home. */
export class Machine implements AsyncDisposable {
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #running = new Set<ChildProcess>();

  private constructor(directory: string, env: Readonly<Record<string, string>>) {
    this.#directory = directory;
    this.#env = env;
  }

  static async make(env: Readonly<Record<string, string>>): Promise<Machine> {
    const directory = await mkdtemp(join(tmpdir(), 'grantry-machine-'));
    await mkdir(join(directory, 'home'), { mode: 0o700 });
    // The bundle leaves one package outside.
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    return new Machine(directory, env);
  }

  get home(): string {
    return join(this.#directory, 'home');
  }

  /** Removes the files of the installed version and puts those of another in their place. */
  async install(built: string): Promise<void> {
    for (const part of ['bin', 'dist', 'package.json']) {
      await rm(join(this.#directory, part), { recursive: true, force: true });
      await cp(join(built, part), join(this.#directory, part), { recursive: true });
    }
  }

  run(args: readonly string[], stdin = ''): Promise<Ran> {
    return new Promise((resolve, reject) => {
      const child = this.#spawn(args);
      const ran = { stdout: '', stderr: '' };
      child.stdout.setEncoding('utf8').on('data', (text: string) => (ran.stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (ran.stderr += text));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, ...ran }));
      child.stdin.end(stdin);
    });
  }

  /** Starts a server and resolves when it listens. */
  async serve(): Promise<Server> {
    const child = this.#spawn(['serve', '--port', '0', '--json']);
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding('utf8').once('data', (line: string) => {
        const said: unknown = JSON.parse(line);
        if (typeof said === 'object' && said !== null && 'url' in said) resolve(String(said.url));
      });
      void ended.then((code) => reject(new Error(`the server ended with ${code}: ${log}`)));
    });
    const stop = async (): Promise<number | null> => {
      child.kill('SIGTERM');
      return ended;
    };
    return { url, log: () => log, stop };
  }

  /** Ends what a failed test left running, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  #spawn(args: readonly string[]) {
    const env = { PATH: process.env['PATH'] ?? '', HOME: this.#directory, GRANTRY_HOME: this.home, ...this.#env };
    const child = spawn(process.execPath, [join(this.#directory, 'bin/grantry.js'), ...args], { env, stdio: 'pipe' });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    return child;
  }
}

export interface Server {
  readonly url: string;
  log(): string;
  /** Ends it and returns its exit code. */
  stop(): Promise<number | null>;
}
