import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Client } from 'pg';
import { administer, postgresUrl } from '../postgres.ts';

/**
 * Returns the names of a database's files that contain a text, byte by byte. For SQLite these are the file, the log and
 * shared memory. For PostgreSQL it is the whole data directory after a checkpoint, except the write-ahead log, whose
 * segments keep old data until they are recycled. Names are shortened for comparison.
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
  // Other tests have their own databases beside this one.
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
