import type { World } from '../../../src/base/world.ts';
import type { Disk } from '../host/disk.ts';
import type { Scheduled } from '../host/scheduler.ts';

/** The part of a simulated process that the file system and database ports use. */
export interface PortProcess {
  readonly disk: Disk;
  now(): number;
  /**
   * A place where a process waits for the machine: other processes go on meanwhile, and it may be paused or die. Throws
   * what is to fail here. `path` is the file that it is about.
   */
  step(kind: StepKind, what: string, path?: string): Promise<void>;
  /** A file operation without waiting. Throws what is to fail here. */
  instant(what: string, path: string): void;
  /** Called when a step was done and its outcome is about to reach the process. */
  done(kind: StepKind, what: string): Promise<void>;
  /** Handles that the operating system closes when the process dies. */
  readonly handles: Set<{ close(): void }>;
  /** Told after each commit, before the process knows of it. */
  committed(): Promise<void>;
  /** Told before a statement of a transaction. Throws if the database is to refuse it. */
  statement(sql: string, parameters: readonly unknown[]): void;
  /** Waits as long as a commit takes today. */
  flushed(): Promise<void>;
  /** Serves the connections to a database server. Undefined where there is none. */
  readonly server?: ServerProcess | undefined;
}

/** A process as the driver of a database server sees it. */
export interface ServerProcess {
  readonly handles: Set<{ close(): void }>;
  monotonic(): number;
  /** The server's wall clock, in milliseconds. */
  serverClock(): number;
  /** Runs something in virtual time, unless the process is dead or stopped. */
  after(ms: number, what: string, run: () => void): Scheduled;
  /** The same at the server, also if the process is dead or stopped. */
  later(ms: number, what: string, run: () => void): Scheduled;
  /** Lets the real server work while virtual time stands still. */
  outside<T>(work: Promise<T>): Promise<T>;
  /** The time that the next commit takes; 0 for the usual time. */
  slowCommitMs(): number;
  committed(): Promise<void>;
  count(what: string): void;
}

export type StepKind = 'read' | 'write' | 'begin' | 'commit' | 'rollback' | 'disk' | 'flush';

const byPath = new Map<string, PortProcess>();
const byWorld = new WeakMap<World, PortProcess>();

/** Files under `/name/` belong to this process; databases opened with this world too. */
export function registerProcess(name: string, world: World, process: PortProcess): void {
  byPath.set(name, process);
  byWorld.set(world, process);
}

export function forgetProcesses(): void {
  byPath.clear();
}

/** The process whose path this is, and where the file is on the disk that all processes of a host share. */
export function processOf(path: string): { process: PortProcess; path: string } {
  const [, name = '', ...rest] = path.split('/');
  const process = byPath.get(name);
  if (process === undefined) throw new Error(`no simulated process owns ${path}`);
  return { process, path: `/${rest.join('/')}` };
}

export function processWith(world: World): PortProcess | undefined {
  return byWorld.get(world);
}

let current: ServerProcess | undefined;

/** Runs something that makes a pool of connections for this process at once. */
export function asProcess<T>(process: ServerProcess | undefined, run: () => T): T {
  current = process;
  try {
    return run();
  } finally {
    current = undefined;
  }
}

export function currentProcess(): ServerProcess | undefined {
  return current;
}
