import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const memory = '/dev/shm';
const prefix = 'grantry-test-';
const roomMin = 3 * 2 ** 30;

/**
 * Makes a directory in memory for the files of a test run, or returns undefined where there is none that will do. Tests
 * flush every commit: on a disk they would mostly wait for it. Databases and processes behave the same on both.
 */
export function makeMemoryTmp(): string | undefined {
  const directory = join(memory, `${prefix}${process.pid}`);
  try {
    removeAbandonedTmp();
    const { bavail, bsize } = statfsSync(memory);
    if (bavail * bsize < roomMin) return undefined;
    mkdirSync(directory, { recursive: true });
    // The user that PostgreSQL runs as must be able to pass through.
    chmodSync(directory, 0o755);
    expectPrograms(directory);
    return directory;
  } catch {
    rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
}

/** Some systems run no program from there, and tests write programs. */
function expectPrograms(directory: string): void {
  const program = join(directory, 'program');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  execFileSync(program);
  rmSync(program);
}

/** Deletes the directories of runs that were killed. */
export function removeAbandonedTmp(): void {
  if (!existsSync(memory)) return;
  for (const name of readdirSync(memory).filter((each) => each.startsWith(prefix))) {
    if (isRunning(Number(name.slice(prefix.length)))) continue;
    try {
      rmSync(join(memory, name), { recursive: true, force: true });
    } catch {
      // Another user's.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
