import { Client } from 'pg';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import { openStore } from '../../src/storage/store.ts';
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts';
import { type Bystander, type Snapshot, statements } from './judge/rows.ts';
import { closeConnections } from './ports/pg.ts';

const template = 'grantry_template';
const world = 'grantry_world';

/** A PostgreSQL that gives each world a database of its own. */
export class PostgresWorlds {
  readonly #server: PostgresServer;
  readonly #admin: Client;

  private constructor(server: PostgresServer, admin: Client) {
    this.#server = server;
    this.#admin = admin;
  }

  static async start(): Promise<PostgresWorlds> {
    // Nothing runs in the background that could hold a lock.
    const server = await startPostgres(['fsync=off', 'autovacuum=off', 'full_page_writes=off', 'max_connections=60']);
    const admin = new Client({ connectionString: server.url });
    admin.on('error', () => {});
    await admin.connect();
    await admin.query(`create database ${template}`);
    const store = await openStore({
      database: named(server.url, template),
      world: systemWorld(),
      unsafeAllowFsyncOff: 'a simulation',
    });
    await migrate(store, { mode: 'auto' });
    await store.close();
    return new PostgresWorlds(server, admin);
  }

  async fresh(): Promise<{ url: string; bystander: Bystander }> {
    await closeConnections();
    await this.#admin.query(`drop database if exists ${world} with (force)`);
    await this.#admin.query(`create database ${world} template ${template}`);
    const url = named(this.#server.url, world);
    return { url, bystander: await postgresBystander(url) };
  }

  async stop(): Promise<void> {
    await closeConnections();
    await this.#admin.end();
    await this.#server.remove();
  }
}

/** Looks into a PostgreSQL database, at everything in one statement. */
async function postgresBystander(connectionString: string): Promise<Bystander> {
  const client = new Client({ connectionString });
  client.on('error', () => {});
  await client.connect();
  const parts = Object.entries(statements).map(
    ([name, text]) => `'${name}', (select coalesce(json_agg(${name}), '[]'::json) from (${text}) ${name})`,
  );
  const text = `select json_build_object(${parts.join(', ')}) as seen`;
  return {
    look: async () => {
      const { rows } = await client.query<{ seen: Snapshot }>(text);
      const [row] = rows;
      if (row === undefined) throw new Error('PostgreSQL shows nothing');
      return row.seen;
    },
    close: () => {
      client.end().catch(() => {});
    },
  };
}

function named(url: string, database: string): string {
  return Object.assign(new URL(url), { pathname: `/${database}` }).href;
}
