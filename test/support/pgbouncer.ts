/** PgBouncer in transaction mode in front of the run's PostgreSQL, where the machine has it (Debian: `pgbouncer`). */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';

const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find((path) =>
  existsSync(path),
);

/** False on a machine without PgBouncer: tests that need it are then skipped, and say so. */
export const hasPgBouncer = program !== undefined;

export interface PgBouncer {
  /** The URL of the same database through the pooler. */
  through(database: string): string;
  stop(): Promise<void>;
}

/** Starts a pooler with few server connections, so that statements of one client often change them. */
export async function startPgBouncer(server: string): Promise<PgBouncer> {
  if (program === undefined) throw new Error('this machine has no PgBouncer');
  const { hostname, port, username, password } = new URL(server);
  const directory = mkdtempSync(join(tmpdir(), 'grantry-pgbouncer-'));
  const own = await freePort();
  const target = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
  const settings = [
    'listen_addr = 127.0.0.1',
    `listen_port = ${own}`,
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 3',
    'max_client_conn = 200',
    'unix_socket_dir =',
    'ignore_startup_parameters = extra_float_digits',
  ];
  const file = join(directory, 'pgbouncer.ini');
  writeFileSync(file, `[databases]\n* = ${target}\n[pgbouncer]\n${settings.join('\n')}\n`);
  chmodSync(directory, 0o755);
  // PgBouncer refuses to run as root, and tests in a container run as root.
  const user = process.getuid?.() === 0 ? { uid: unprivilegedUser(), gid: unprivilegedUser() } : {};
  const child = spawn(program, ['-q', file], { stdio: 'ignore', cwd: '/', ...user });
  const ended = once(child, 'exit');
  await listens(own, child);
  return {
    through: (database) => {
      const url = new URL(database);
      url.port = String(own);
      return url.href;
    },
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function unprivilegedUser(): number {
  return Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));
}

async function listens(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (child.exitCode !== null) throw new Error(`PgBouncer ended with code ${child.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => socket.end(() => resolve(true)));
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('PgBouncer does not listen');
}
