import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Client } from 'pg';
import { administer, postgresUrl } from '../postgres.ts';

/**
 * The files of a database that hold a text, searched byte by byte: SQLite's file, log and shared memory; PostgreSQL's
 * whole data directory after a checkpoint, apart from its write-ahead log, which keeps what was written until its
 * segments are recycled. Parts of names alone, to be compared.
 */
export async function plaintextFiles(database: string, text: string): Promise<string[]> {
  if (database.startsWith('sqlite:')) {
    const file = database.slice('sqlite:'.length);
    const names = (await readdir(dirname(file))).filter((name) => name.startsWith(basename(file)));
    return holding(
      names.map((name) => join(dirname(file), name)),
      text,
    );
  }
  const server = await postgresUrl();
  await administer(server, 'checkpoint');
  const client = new Client({ connectionString: database });
  await client.connect();
  const { rows } = await client.query<{ directory: string; oid: string }>(
    `select current_setting('data_directory') as directory, oid::text from pg_database where datname = current_database()`,
  );
  await client.end();
  const [place] = rows;
  if (place === undefined) throw new Error('PostgreSQL does not say where its files are');
  const names = await readdir(place.directory, { recursive: true });
  // Other tests have databases of their own beside this one.
  const ours = names.filter((name) => name.startsWith(join('base', place.oid)) || !/^(base|pg_wal)\b/.test(name));
  return holding(
    ours.map((name) => join(place.directory, name)),
    text,
  );
}

async function holding(files: readonly string[], text: string): Promise<string[]> {
  const found: string[] = [];
  for (const file of files) {
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes?.includes(text)) found.push(file);
  }
  return found;
}
