import { readdir, readFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';

import { Client } from 'pg';

/** An attempt of a killed process whose end was never recorded. */
export interface OpenAttempt {
  readonly tenant: string;
  readonly grantId: string;
  readonly generation: number;
  readonly attemptId: string;
}

export interface GrantFacts {
  readonly tenant: string;
  readonly grantId: string;
  readonly state: string;
  readonly reason: string | null;
  readonly generation: number;
}

export interface EventFacts {
  readonly tenant: string;
  readonly type: string;
  readonly reason: string | null;
  readonly at: number;
}

/** Read-only access to the database. */
export interface Evidence {
  openAttempts(pid: number): Promise<OpenAttempt[]>;
  /** Returns the open attempts: which process holds which grant. */
  underWay(): Promise<{ readonly grantId: string; readonly pid: number }[]>;
  grants(): Promise<GrantFacts[]>;
  /** Returns every refresh, verdict and revival, oldest first. */
  events(): Promise<EventFacts[]>;
  close(): Promise<void>;
}

const openAttempts = `select a.tenant as "tenant", a.grant_id as "grantId", t.generation as "generation", a.id as "attemptId"
  from grantry_attempts a join oauth_tokens t on t.client_id = a.tenant and t.id = a.grant_id
  where a.outcome = 'open' and a.owner like `;
const underWay = `select grant_id as "grantId", owner as "owner" from grantry_attempts where outcome = 'open'`;
const grants =
  'select client_id as "tenant", id as "grantId", state as "state", reason as "reason", generation as "generation" from oauth_tokens';
const events = `select tenant as "tenant", type as "type", reason as "reason", at as "at" from grantry_events
  where type in ('grant.refreshed', 'grant.reauthorization_required', 'grant.revived') order by at, id`;

export async function gatherEvidence(database: string): Promise<Evidence> {
  const ask = database.startsWith('sqlite:')
    ? askSqlite(database.slice('sqlite:'.length))
    : await askPostgres(database);
  // The queries above name the columns of these shapes; numbers may come as text.
  return {
    openAttempts: async (pid) => numbered(await ask.rows(`${openAttempts}'%:${pid}:%'`)) as OpenAttempt[],
    underWay: async () =>
      (await ask.rows(underWay)).map(({ grantId, owner }) => ({
        grantId: String(grantId),
        // The second part of an owner's name is its process number.
        pid: Number(String(owner).split(':')[1]),
      })),
    grants: async () => numbered(await ask.rows(grants)) as GrantFacts[],
    events: async () => numbered(await ask.rows(events)) as EventFacts[],
    close: () => ask.close(),
  };
}

interface Ask {
  rows(query: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

function askSqlite(path: string): Ask {
  let db: DatabaseSync | undefined;
  return {
    rows: async (query) => {
      db ??= new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
      return db.prepare(query).all();
    },
    close: async () => db?.close(),
  };
}

async function askPostgres(url: string): Promise<Ask> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = async (query: string): Promise<Record<string, unknown>[]> => {
    await last;
    return (await client.query(query)).rows;
  };
  const rows = (query: string): Promise<Record<string, unknown>[]> => {
    const asked = inTurn(query);
    last = asked.catch(() => {});
    return asked;
  };
  return { rows, close: () => client.end() };
}

function numbered(rows: Record<string, unknown>[]): unknown[] {
  return rows.map(({ generation, at, ...rest }) => ({
    ...rest,
    ...(generation === undefined ? {} : { generation: Number(generation) }),
    ...(at === undefined ? {} : { at: Number(at) }),
  }));
}

/** Returns the attempts whose answer a killed process had on its disk, by the name used for the replay. */
export async function spooledBy(pid: number, home: string): Promise<string[]> {
  const names = await readdir(`${home}/spool`).catch(() => []);
  const found: string[] = [];
  for (const name of names.filter((each) => each.endsWith('.answer') || each.endsWith('.refused'))) {
    // Another process may replay the file meanwhile.
    const text = await readFile(`${home}/spool/${name}`, 'utf8').catch(() => '');
    const head: unknown = text === '' ? undefined : JSON.parse(text.slice(0, text.indexOf('\n')));
    // The library itself writes the head; see its spool.
    const { owner, attemptId } = head === undefined ? {} : (head as { owner?: { pid: number }; attemptId?: string });
    if (owner?.pid === pid && attemptId !== undefined) found.push(attemptId);
  }
  return found;
}

/** A refresh token's arrival in one of the workers. */
export interface Arrival {
  readonly at: number;
  readonly pid: number;
  /** Total time that the process had waited for a processor by then; undefined where the system does not tell. */
  readonly waitedMs: number | undefined;
}

/** Reads from the workers' logs when and where each of these refresh tokens arrived. */
export async function arrivals(
  wireLogs: readonly string[],
  wanted: ReadonlySet<string>,
): Promise<Map<string, Arrival>> {
  const found = new Map<string, Arrival>();
  for (const log of wireLogs) {
    for (const line of (await readFile(log, 'utf8').catch(() => '')).split('\n')) {
      const [what, at, pid, token = '', waited = ''] = line.split(' ');
      if (what !== 'got' || !wanted.has(token)) continue;
      found.set(token, { at: Number(at), pid: Number(pid), waitedMs: waited === '' ? undefined : Number(waited) });
    }
  }
  return found;
}
