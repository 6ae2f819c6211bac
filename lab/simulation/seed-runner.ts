/** Runs seeds one after the other in this process. Loaded after the hooks are in place. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import { openStore } from '../../src/storage/store.ts';
import type { PostgresWorlds } from './postgres-worlds.ts';
import { type RunOptions, type RunResult, runSeed } from './run.ts';

export const databases = ['sqlite', 'postgres', 'both'] as const;
export type Databases = (typeof databases)[number];

export class SeedRunner implements AsyncDisposable {
  readonly #directory: string;
  readonly #template: string;
  readonly #postgres: PostgresWorlds | undefined;
  #database: Databases = 'sqlite';

  private constructor(directory: string, postgres: PostgresWorlds | undefined) {
    this.#directory = directory;
    this.#postgres = postgres;
    this.#template = join(directory, 'template.db');
  }

  /** `both`: an eighth of all seeds runs on PostgreSQL, where a seed takes several times as long. */
  static async make(database: Databases): Promise<SeedRunner> {
    // The vault loads these when it first needs them: here before, since loading is real time.
    await Promise.all([
      import('../../src/vault/upkeep/adopt.ts'),
      import('../../src/vault/api/call.ts'),
      import('../../src/vault/connect/authorize.ts'),
      import('../../src/vault/disconnect.ts'),
      import('../../src/vault/api/health.ts'),
      import('../../src/vault/upkeep/recover.ts'),
      import('../../src/vault/refresh/refresh.ts'),
      import('../../src/vault/refresh/replay.ts'),
      import('../../src/vault/spool/spool.ts'),
      import('../../src/vault/grant/store-tokens.ts'),
    ]);
    // Memory instead of a disk: the simulation decides itself what a crash leaves.
    const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    const postgres = database === 'sqlite' ? undefined : await startWorlds();
    const runner = new SeedRunner(mkdtempSync(join(base, 'grantry-simulation-')), postgres);
    runner.#database = database;
    // A parallel run ends its processes when it has seen enough.
    process.once('SIGTERM', () => process.exit(0));
    process.once('exit', () => rmSync(runner.#directory, { recursive: true, force: true }));
    const store = await openStore({ database: `sqlite:${runner.#template}`, world: systemWorld() });
    await migrate(store, { mode: 'auto' });
    await store.close();
    return runner;
  }

  async run(seed: number, how: Pick<RunOptions, 'trace' | 'focus'> = {}): Promise<RunResult> {
    process.env['GRANTRY_SIMULATION_KEY'] = createHash('sha256').update('grantry simulation').digest('base64');
    const isOnPostgres = this.#database === 'postgres' || (this.#database === 'both' && isEighth(seed));
    const postgres = isOnPostgres ? await this.#postgres?.fresh() : undefined;
    return runSeed({ seed, directory: this.#directory, template: this.#template, postgres, ...how });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#postgres?.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** By pairs, so that each of two slices gets its share. */
function isEighth(seed: number): boolean {
  return Math.floor(seed / 2) % 8 === 0;
}

/** Loaded for those who want it: SQLite needs no server. */
async function startWorlds(): Promise<PostgresWorlds> {
  const { PostgresWorlds: Worlds } = await import('./postgres-worlds.ts');
  return Worlds.start();
}
