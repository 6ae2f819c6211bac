import { Client } from 'pg';

/** A PostgreSQL for one run, and empty databases on it. */
export interface ScratchServer extends AsyncDisposable {
  /** Creates an empty database and returns its URL. */
  scratch(): Promise<string>;
}

/** Starts an embedded server, or uses the one of GRANTRY_TEST_POSTGRES_URL, a superuser's URL, and cleans up. */
export async function scratchServer(): Promise<ScratchServer> {
  const given = process.env['GRANTRY_TEST_POSTGRES_URL'];
  const { startPostgres } = await import('../test/support/postgres-server.ts');
  const server = given ? { url: given, remove: async () => {} } : await startPostgres();
  const made: string[] = [];
  const administer = async (statement: string): Promise<void> => {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  return {
    scratch: async () => {
      const name = `grantry_scratch_${process.pid}_${made.length}`;
      // Recorded before it is created: the next one may be requested meanwhile.
      made.push(name);
      await administer(`create database ${name}`);
      const url = new URL(server.url);
      url.pathname = `/${name}`;
      return url.href;
    },
    [Symbol.asyncDispose]: async () => {
      for (const name of given ? made : []) await administer(`drop database if exists ${name} with (force)`);
      await server.remove();
    },
  };
}

/** Runs the same on both databases in turn. `fresh` creates an empty one: `sqlite`, or a URL. */
export async function withDatabases(
  work: (name: string, fresh: () => Promise<string>) => Promise<void>,
): Promise<void> {
  await work('sqlite', async () => 'sqlite');
  await using server = await scratchServer();
  await work('postgres', () => server.scratch());
}
