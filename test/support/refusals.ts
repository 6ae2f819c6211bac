/** Databases that refuse a change or lack one, and what a vault's spool then holds. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect } from 'vitest';
import type { GrantKey } from '../../src/base/ids.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from './bench.ts';

const nextGeneration = [
  'update',
  'oauth_tokens',
  "new.client_id = 'acme' and new.generation > old.generation",
] as const;

/** Changes that the database refuses, of the tenant acme only. */
const refusals = {
  save: [nextGeneration],
  tokens: [nextGeneration, ['insert', 'grantry_candidates', "new.tenant = 'acme'"]],
  metadata: [['update', 'oauth_tokens', "new.client_id = 'acme' and new.metadata <> old.metadata"]],
} as const;

/** Makes the database refuse a change with an error that is no outage; the returned function ends that. */
export async function refuse(bench: Bench, what: keyof typeof refusals): Promise<() => Promise<void>> {
  const run = async (text: string) => void (await sql.raw(text).execute(bench.judge.db));
  const isSqlite = bench.kind === 'sqlite';
  const does = isSqlite ? "begin select raise(abort, 'no'); end" : 'execute function refuse()';
  if (!isSqlite) {
    const body = "begin raise exception 'no' using errcode = '22P02'; end";
    await run(`create function refuse() returns trigger language plpgsql as $$ ${body} $$`);
  }
  for (const [verb, table, when] of refusals[what]) {
    const scope = isSqlite ? '' : 'for each row';
    await run(`create trigger refuse_${table} before ${verb} on ${table} ${scope} when (${when}) ${does}`);
  }
  return async () => {
    for (const [, table] of refusals[what]) await run(`drop trigger refuse_${table}${isSqlite ? '' : ` on ${table}`}`);
  };
}

/** Refreshes a grant and undoes what that wrote, as a standby that lacks the commits. */
export async function refreshAndLose(bench: Bench, vault: Vault, key: GrantKey): Promise<void> {
  const { id, ...before } = await bench.row(key);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  const { db } = bench.judge;
  await db.updateTable('oauth_tokens').set(before).where('id', '=', id).execute();
  await db.deleteFrom('grantry_attempts').where('grant_id', '=', id).execute();
}

/** Makes a vault believe that a standby was promoted. */
export function pretendFailover(vault: Vault): { failedOver: boolean } {
  const { guard } = internalsOf(vault).open();
  const pretended = { failedOver: true };
  Object.defineProperty(guard, 'failedOver', { get: () => pretended.failedOver });
  guard.finishFailover = async (replay) => {
    await replay();
    pretended.failedOver = false;
  };
  return pretended;
}

/** Names the spool's files. */
export function filesIn(bench: Bench): string[] {
  const names = readdirSync(join(bench.home, 'spool'), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.includes('.'));
}

/** Names the kinds of the spool's files. */
export function kindsIn(bench: Bench): string[] {
  return filesIn(bench)
    .map((name) => name.split('.').at(-1) ?? '')
    .sort();
}
