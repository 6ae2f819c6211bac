import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { shared } from './broker.ts';

/** A database for one test or test file. `await using`, or call `drop`. */
export interface ScratchDatabase extends AsyncDisposable {
  /** Value for `openVault` and `GRANTRY_DATABASE`. */
  readonly database: string;
  readonly drop: () => Promise<void>;
}

/** Creates an empty database on the run's PostgreSQL (an embedded one, or GRANTRY_TEST_POSTGRES_URL). */
export async function scratchDatabase(): Promise<ScratchDatabase> {
  const server = await postgresUrl();
  const name = `grantry_test_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const drop = (): Promise<void> => administer(server, `drop database if exists ${name} with (force)`);
  return { database: url.href, drop, [Symbol.asyncDispose]: drop };
}

/** Returns the path of a SQLite file that does not exist yet, in its own directory. */
export function scratchSqlite(): ScratchDatabase & { readonly path: string; readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-sqlite-'));
  const path = join(directory, 'grantry.db');
  const drop = async (): Promise<void> => rmSync(directory, { recursive: true, force: true });
  return { database: `sqlite:${path}`, path, directory, drop, [Symbol.asyncDispose]: drop };
}

/** Returns the superuser URL of the run's PostgreSQL, which starts when the first test asks for it. */
export function postgresUrl(): Promise<string> {
  return shared('postgres');
}

/** Runs one statement as superuser, outside of any store. */
export async function administer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
