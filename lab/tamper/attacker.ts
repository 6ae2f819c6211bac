import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { Client } from 'pg';

/** A value as the attacker reads and writes it. Numbers of any size are bigints, times and JSON are text. */
export type Value = string | bigint | null;
export type Row = Readonly<Record<string, Value>>;

export interface Column {
  readonly name: string;
  /** The database's name of the type. */
  readonly type: string;
}

/** An attacker that may write every table and has no key: it has SQL over a connection of its own. */
export interface Attacker extends AsyncDisposable {
  tables(): Promise<string[]>;
  columns(table: string): Promise<readonly Column[]>;
  rows(table: string): Promise<Row[]>;
  /** The columns of the primary key. */
  key(table: string): Promise<readonly string[]>;
  /** Replaces a row by another, or deletes it, or inserts one. Returns false when the database refuses. */
  replace(table: string, before: Row | null, after: Row | null): Promise<boolean>;
}

/**
 * Tables with bytes, of which nothing leaves the vault but the audit log itself. That every change of them is found is tested
 * where the log is: `src/vault/audit/mutations.test.ts`.
 */
const ofBytes: ReadonlySet<string> = new Set(['grantry_audit_entries', 'grantry_audit_tiles']);

export async function openAttacker(database: string): Promise<Attacker> {
  return database.startsWith('sqlite:')
    ? new SqliteAttacker(database.slice('sqlite:'.length))
    : PostgresAttacker.open(database);
}

class SqliteAttacker implements Attacker {
  readonly #db: DatabaseSync;

  constructor(path: string) {
    this.#db = new DatabaseSync(path, { timeout: 20_000, enableForeignKeyConstraints: false });
    // The triggers are for programs of 0.1.0. An owner of the tables drops them.
    const triggers = this.#db.prepare(`select name from sqlite_schema where type = 'trigger'`).all();
    for (const { name } of triggers) this.#db.exec(`drop trigger "${String(name)}"`);
  }

  async tables(): Promise<string[]> {
    const found = this.#db.prepare(`select name from sqlite_schema where type = 'table' order by name`).all();
    return found.map(({ name }) => String(name)).filter((name) => !ofBytes.has(name));
  }

  async columns(table: string): Promise<readonly Column[]> {
    const found = this.#db.prepare(`select name, type from pragma_table_info(?)`).all(table);
    return found.map(({ name, type }) => ({ name: String(name), type: String(type) }));
  }

  async key(table: string): Promise<readonly string[]> {
    const found = this.#db.prepare(`select name from pragma_table_info(?) where pk > 0 order by pk`).all(table);
    return found.map(({ name }) => String(name));
  }

  async rows(table: string): Promise<Row[]> {
    const statement = this.#db.prepare(`select * from "${table}"`);
    statement.setReadBigInts(true);
    return statement
      .all()
      .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, valueOf(value)])));
  }

  async replace(table: string, before: Row | null, after: Row | null): Promise<boolean> {
    try {
      this.#db.exec('begin immediate');
      if (before !== null) {
        const isRow = Object.keys(before).map((name) => `"${name}" is ?`);
        this.#db
          .prepare(`delete from "${table}" where ${isRow.join(' and ')}`)
          .run(...Object.values<SQLInputValue>(before));
      }
      if (after !== null) {
        const names = Object.keys(after).map((name) => `"${name}"`);
        const insert = `insert into "${table}" (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`;
        this.#db.prepare(insert).run(...Object.values<SQLInputValue>(after));
      }
      this.#db.exec('commit');
      return true;
    } catch {
      if (this.#db.isTransaction) this.#db.exec('rollback');
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#db.close();
  }
}

function valueOf(value: unknown): Value {
  if (typeof value === 'string' || typeof value === 'bigint' || value === null) return value;
  throw new Error(`no column has a value of the type ${typeof value}`);
}

class PostgresAttacker implements Attacker {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async open(database: string): Promise<PostgresAttacker> {
    const client = new Client({ connectionString: database });
    client.on('error', () => {});
    await client.connect();
    // Without foreign keys, as the owner of the tables can have it.
    await client.query('set session_replication_role = replica');
    return new PostgresAttacker(client);
  }

  async tables(): Promise<string[]> {
    const { rows } = await this.#client.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = current_schema() order by 1`,
    );
    return rows.map(({ name }) => name).filter((name) => !ofBytes.has(name));
  }

  async columns(table: string): Promise<readonly Column[]> {
    const { rows } = await this.#client.query<Column>(
      `select column_name as name, data_type as type from information_schema.columns
       where table_schema = current_schema() and table_name = $1 order by ordinal_position`,
      [table],
    );
    return rows;
  }

  async key(table: string): Promise<readonly string[]> {
    const { rows } = await this.#client.query<{ name: string }>(
      `select attname as name from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey)
       where indisprimary and indrelid = $1::regclass order by array_position(indkey::int2[], attnum)`,
      [table],
    );
    return rows.map(({ name }) => name);
  }

  async rows(table: string): Promise<Row[]> {
    const columns = await this.columns(table);
    const texts = columns.map(({ name }) => `"${name}"::text as "${name}"`);
    const { rows } = await this.#client.query<Record<string, string | null>>(
      `select ${texts.join(', ')} from "${table}"`,
    );
    return rows.map((row) =>
      Object.fromEntries(
        columns.map(({ name, type }) => {
          const value = row[name] ?? null;
          return [name, value !== null && type === 'bigint' ? BigInt(value) : value];
        }),
      ),
    );
  }

  async replace(table: string, before: Row | null, after: Row | null): Promise<boolean> {
    const columns = await this.columns(table);
    const typeOf = (name: string): string => columns.find((column) => column.name === name)?.type ?? 'text';
    const texts = (row: Row): (string | null)[] =>
      Object.values(row).map((value) => (value === null ? null : String(value)));
    try {
      await this.#client.query('begin');
      if (before !== null) {
        const isRow = Object.keys(before).map(
          (name, index) => `"${name}" is not distinct from $${index + 1}::text::${typeOf(name)}`,
        );
        await this.#client.query(`delete from "${table}" where ${isRow.join(' and ')}`, texts(before));
      }
      if (after !== null) {
        const names = Object.keys(after).map((name) => `"${name}"`);
        const values = Object.keys(after).map((name, index) => `$${index + 1}::text::${typeOf(name)}`);
        await this.#client.query(
          `insert into "${table}" (${names.join(', ')}) values (${values.join(', ')})`,
          texts(after),
        );
      }
      await this.#client.query('commit');
      return true;
    } catch {
      await this.#client.query('rollback');
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}
