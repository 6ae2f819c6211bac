/*
 * Frozen once released. The program that runs this migration seals every value of format 1 anew, and computes the MACs of
 * the rows that are there, in the same transaction.
 */

/** Rows of these tables decide where tokens go and who gets them, so each carries a MAC. The same text for both databases. */
const macs = `
alter table grantry_providers add column mac text;
alter table grantry_apps add column mac text;
alter table grantry_api_keys add column mac text;
alter table grantry_connect_sessions add column mac text;
alter table grantry_authorizations add column mac text`;

const retirement = 'alter table grantry_candidates add column retired_at';

/** A guard refuses what a process of 0.1.0 would write. Both databases read the same condition. */
interface Guard {
  readonly name: string;
  readonly on: string;
  readonly when: string;
}

const sealedColumns = [
  ['oauth_tokens', ['access_token', 'refresh_token']],
  ['grantry_candidates', ['tokens']],
  ['grantry_revocations', ['token']],
  ['grantry_connect_sessions', ['pending']],
] as const;

/**
 * A process of 0.1.0 that still runs may be waiting for an answer. What it would save in format 1 never opens again, and at
 * a provider that rotates that loses the grant. So the database refuses it, and the process keeps its answer in its spool,
 * where a newer one finds it.
 *
 * A value that did not open stays in format 1, so its row may still change in other columns.
 */
const formatGuards: readonly Guard[] = sealedColumns.flatMap(([table, columns]) => {
  const isOld = (column: string): string => `substr(new.${column}, 1, 11) = 'gry1.R1JZAQ'`;
  const isNewHere = (column: string): string => `${isOld(column)} and new.${column} is distinct from old.${column}`;
  return [
    { name: `${table}_format_insert`, on: `insert on ${table}`, when: columns.map(isOld).join(' or ') },
    {
      name: `${table}_format_update`,
      on: `update of ${columns.join(', ')} on ${table}`,
      when: columns.map(isNewHere).join(' or '),
    },
  ];
});

/** It also opens no candidate, and would retire each one that it meets. It does not write the time of that. */
const guards: readonly Guard[] = [
  ...formatGuards,
  {
    name: 'grantry_candidates_retire',
    on: 'update of state on grantry_candidates',
    when: `old.state = 'untested' and new.state = 'superseded' and new.retired_at is null`,
  },
];

const refusal = "'a process of Grantry 0.1.0 still runs: stop it'";

const triggers = (then: string): string =>
  guards
    .map(({ name, on, when }) => `create trigger ${name} before ${on} for each row when (${when}) ${then}`)
    .join(';\n');

export const rowMacs = {
  sqlite: `${macs};
${retirement} integer;
${triggers(`begin select raise(abort, ${refusal}); end`)}`,
  postgres: `${macs};
${retirement} bigint;
create function grantry_refuse() returns trigger language plpgsql as $$begin raise exception ${refusal}; end$$;
${triggers('execute function grantry_refuse()')}`,
};
