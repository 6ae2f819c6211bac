/** Content of a database: its rows, and the bytes of its files. */
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';

export type Tables = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;

/** The name of the part of the write-ahead log that is written now. */
export async function currentLog(database: string): Promise<string> {
  return withClient(database, async (client) => {
    const { rows } = await client.query<{ name: string }>('select pg_walfile_name(pg_current_wal_lsn()) as name');
    return rows[0]?.name ?? '';
  });
}

/** All rows of all tables, as a dump has them. */
export async function tables(database: string): Promise<Tables> {
  if (database.startsWith('sqlite:')) {
    const file = new DatabaseSync(database.slice('sqlite:'.length));
    const names = file.prepare("select name from sqlite_master where type = 'table'").all();
    return Object.fromEntries(names.map(({ name }) => [name, file.prepare(`select * from "${String(name)}"`).all()]));
  }
  return withClient(database, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'public'",
    );
    const found: [string, Record<string, unknown>[]][] = [];
    for (const { name } of rows) found.push([name, (await client.query(`select * from "${name}"`)).rows]);
    return Object.fromEntries(found);
  });
}

/** The files of PostgreSQL's tables, and its log since that part of it: in both there is more than the rows. */
export async function postgresFiles(
  database: string,
  firstLog: string,
): Promise<{ readonly name: string; readonly content: Buffer }[]> {
  return withClient(database, async (client) => {
    await client.query('checkpoint');
    const { rows: files } = await client.query<{ name: string; content: Buffer }>(
      `select 'the file of ' || relname as name, pg_read_binary_file(pg_relation_filepath(oid)) as content from pg_class
       where relkind in ('r', 'i', 't') and pg_relation_size(oid) > 0
       and (relnamespace = 'public'::regnamespace or relname like 'pg_toast_%')`,
    );
    const { rows: log } = await client.query<{ name: string; content: Buffer }>(
      `select 'the write-ahead log' as name, pg_read_binary_file('pg_wal/' || name) as content from pg_ls_waldir()
       where name >= $1 and name <= pg_walfile_name(pg_current_wal_lsn())`,
      [firstLog],
    );
    if (files.length === 0 || log.length === 0) throw new Error('PostgreSQL showed none of its files');
    return [...files, ...log];
  });
}

async function withClient<T>(database: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: database });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
