import type { Pool } from 'pg';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { sqlState } from './failures.ts';

export interface FitnessOptions {
  readonly logger: Logger;
  /** True if an engine may be opened that Grantry was never tried on. */
  readonly allowUntriedEngine: boolean;
  /** Says why this server may lose what it confirmed. Only for throw-away servers of tests. */
  readonly unsafeAllowFsyncOff?: string | undefined;
}

interface UntriedEngine {
  readonly name: string;
  /** Matches the answer to `select version()`. */
  readonly pattern: RegExp;
  /** The reason to refuse it, in words that complete "it …". */
  readonly missing: string;
}

/** Engines that speak PostgreSQL's protocol and are other programs. */
const untriedEngines: readonly UntriedEngine[] = [
  {
    name: 'CockroachDB',
    pattern: /cockroach/i,
    missing: 'has no identity by which a copy is told from the original, and its locks were no-ops for years',
  },
  {
    name: 'YugabyteDB',
    pattern: /-YB-|yugabyte/i,
    missing: 'has no identity by which a copy is told from the original, and orders commits of several nodes by clocks',
  },
  { name: 'Redshift', pattern: /redshift/i, missing: 'locks no rows' },
  { name: 'Greenplum', pattern: /greenplum/i, missing: 'locks whole tables for an update' },
  { name: 'Materialize', pattern: /materialize/i, missing: 'locks no rows' },
  { name: 'RisingWave', pattern: /risingwave/i, missing: 'locks no rows' },
  { name: 'CrateDB', pattern: /crate/i, missing: 'has no transactions' },
  { name: 'Spanner', pattern: /spanner/i, missing: 'has no identity by which a copy is told from the original' },
];

interface ServerRow {
  version: number;
  fsync: string;
  synchronous_commit: string;
}

/**
 * Refuses a server that cannot keep grants: another program with PostgreSQL's protocol, an old version, or settings under
 * which a crash loses what was confirmed.
 *
 * @throws {GrantryError} `invalid_request` with the reason, before anything is made
 */
export async function refuseUnfit(pool: Pool, options: FitnessOptions): Promise<void> {
  // Every engine answers this, so it comes first: the next question may not be understood.
  const { rows } = await pool.query<{ name: string }>('select version() as name');
  refuseUntried(rows[0]?.name ?? '', options);
  const server = await readServer(pool);
  if (server.version < limits.postgresVersionMin) {
    throw unfit(
      `version ${Math.floor(server.version / 10_000)} is older than 15`,
      'Update the server to PostgreSQL 15 or newer.',
    );
  }
  if (options.unsafeAllowFsyncOff !== undefined) return;
  if (server.fsync === 'off') {
    throw unfit(
      'it runs with fsync = off, so a crash loses tokens that were saved',
      'Set fsync = on in postgresql.conf.',
    );
  }
  if (server.synchronous_commit === 'off') {
    throw unfit(
      'synchronous_commit is off, so a crash loses tokens that were saved',
      "Turn it on for Grantry's role: alter role … set synchronous_commit = on.",
    );
  }
}

/** Finds the engine that an answer to `select version()` names; null for PostgreSQL itself. */
export function untriedEngineOf(version: string): { name: string; missing: string } | null {
  const known = untriedEngines.find(({ pattern }) => pattern.test(version));
  if (known !== undefined) return known;
  if (/^(?:PostgreSQL|EnterpriseDB) \d/.test(version)) return null;
  const name = /^[A-Za-z][\w.-]{0,30}/.exec(version)?.[0] ?? 'a program without a name';
  return { name, missing: 'is no PostgreSQL' };
}

function refuseUntried(version: string, { logger, allowUntriedEngine }: FitnessOptions): void {
  const engine = untriedEngineOf(version);
  if (engine === null) return;
  if (!allowUntriedEngine) {
    throw invalidRequest(`This database is ${engine.name}, on which Grantry was not tried: it ${engine.missing}.`, {
      action: 'Use PostgreSQL 15 or newer. To open it all the same, set GRANTRY_UNTRIED_ENGINE=1.',
    });
  }
  logger.warn('Grantry was never tried on this database engine: grants may be lost', { engine: engine.name });
}

async function readServer(pool: Pool): Promise<ServerRow> {
  try {
    const { rows } = await pool.query<ServerRow>(
      // An engine without a setting answers null, which decides nothing.
      `select current_setting('server_version_num')::int as version,
         coalesce(current_setting('fsync', true), 'on') as fsync,
         coalesce(current_setting('synchronous_commit', true), 'on') as synchronous_commit`,
    );
    if (rows[0] !== undefined) return rows[0];
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
  }
  throw new GrantryError('storage_unavailable', 'The PostgreSQL server did not return its version and settings.');
}

function unfit(why: string, action: string): GrantryError {
  return invalidRequest(`This PostgreSQL server cannot keep grants: ${why}.`, { action });
}
