import { type RawBuilder, sql } from 'kysely';
import { GrantryError, isGrantryError } from '../../base/errors.ts';
import type { Reader } from '../database.ts';
import type { StoreLocation } from './engine.ts';
import { sqlState } from './failures.ts';

/** A refusal of one question must not fail the others, and a server that is away must. */
const refusals = [
  '42501', // insufficient_privilege
  '42883', // undefined_function
  '42704', // undefined_object
  '0A000', // feature_not_supported
  '55000', // object_not_in_prerequisite_state: Aurora's answer to WAL functions
  '22023', // invalid_parameter_value
];

/**
 * Reads where a database lives: PostgreSQL's system identifier and the database's oid, and what a managed service tells
 * besides. A server need not answer each question.
 */
export async function placeOf(db: Reader): Promise<StoreLocation> {
  const place = (await placeAtOnce(db)) ?? (await placeByParts(db));
  const parts = [`${place.system ?? ''}:${place.oid}`];
  if (place.neon) parts.push(named('neon', place.neon));
  const aurora = place.aurora ? await auroraOf(db) : null;
  if (aurora) parts.push(named('aurora', aurora));
  return { location: parts.join(' '), timeline: place.timeline };
}

interface Answers {
  readonly oid: string;
  readonly system: string | null;
  /** A branch of Neon is a copy with the same system identifier. */
  readonly neon: string | null;
  readonly aurora: boolean;
  readonly timeline: number | null;
}

const oid = sql`(select oid from pg_database where datname = current_database())`;
const system = sql`(select system_identifier from pg_control_system())`;
const neon = sql`current_setting('neon.timeline_id', true)`;
const aurora = sql`to_regproc('aurora_db_instance_identifier') is not null`;
/** The control file's timeline lags behind a promotion until the next checkpoint; the write position does not. */
const checkpointed = sql`(select timeline_id from pg_control_checkpoint())::bigint`;
const timeline = sql`case when pg_is_in_recovery() then ${checkpointed}
  else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint end`;

/** Asks PostgreSQL's own questions in one statement, since every start of every program asks them. */
async function placeAtOnce(db: Reader): Promise<Answers | null> {
  const { rows } = await unlessRefused(() =>
    sql<Answers>`select ${oid}::text as oid, ${system}::text as system, ${neon} as neon, ${aurora} as aurora,
      ${timeline} as timeline`.execute(db),
  );
  return rows[0] ?? null;
}

/** Asks each question by itself: a managed service refuses some. */
async function placeByParts(db: Reader): Promise<Answers> {
  const own = await textOf(db, oid);
  if (own === null) throw new GrantryError('internal', 'PostgreSQL did not return the oid of the database.');
  const line = (await textOf(db, timeline)) ?? (await textOf(db, checkpointed));
  return {
    oid: own,
    system: await textOf(db, system),
    neon: await textOf(db, neon),
    aurora: (await textOf(db, aurora)) === 'true',
    timeline: line === null ? null : Number(line),
  };
}

/**
 * Lists the instances of an Aurora cluster: a clone or a restored snapshot has instances of its own. A failover makes
 * another instance of the list the writer.
 */
async function auroraOf(db: Reader): Promise<string | null> {
  const members = sql`(select string_agg(server_id, ',' order by server_id) from aurora_replica_status())`;
  return (await textOf(db, members)) ?? (await textOf(db, sql`aurora_db_instance_identifier()`));
}

function named(name: string, answer: string): string {
  return `${name}:${answer.replaceAll(/\s/g, '')}`;
}

async function textOf(db: Reader, question: RawBuilder<unknown>): Promise<string | null> {
  const { rows } = await unlessRefused(() =>
    sql<{ answer: string | null }>`select (${question})::text as answer`.execute(db),
  );
  return rows[0]?.answer ?? null;
}

async function unlessRefused<Row>(ask: () => Promise<{ rows: Row[] }>): Promise<{ rows: Row[] }> {
  try {
    return await ask();
  } catch (error) {
    const state = isGrantryError(error) ? sqlState(error.cause) : undefined;
    if (state !== undefined && refusals.includes(state)) return { rows: [] };
    throw error;
  }
}
