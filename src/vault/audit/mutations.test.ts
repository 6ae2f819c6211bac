/** Tests that any single change of the stored log is found, by a writer of the database who drops the triggers first. */
import { sql } from 'kysely';
import { afterEach, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { readVerifiers } from '../../audit/export-file.ts';
import type { LogReport } from '../../audit/stream.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { internalsOf } from '../internals.ts';
import { signNow } from './checkpoint.ts';
import { storedParts } from './parts.ts';
import { sequenceEntries } from './sequence.ts';
import { verifiersOf } from './signing-keys.ts';
import { checkParts, type Known } from './verify.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench[Symbol.asyncDispose]();
});

const size = 600;
const last = size - 1;

/** Statements of an attacker who can write every table, and the entry that the check must name. */
const changes: Readonly<Record<string, { readonly text: string; readonly seq: number }>> = {
  'an edited action': { text: `update grantry_audit_entries set action = 'app.removed' where seq = 300`, seq: 300 },
  'an edited time': { text: 'update grantry_audit_entries set at = at + 1 where seq = 0', seq: 0 },
  'another actor': {
    text: `insert into grantry_audit_actors (shard, id, kind, actor_id, name, source) values (0, 99, 'user', 'x', null, 'cli'); update grantry_audit_entries set actor = 99 where seq = 17`,
    seq: 17,
  },
  'another subject': { text: 'update grantry_audit_entries set subject = null where seq = 301', seq: 301 },
  'erased details and their hash': {
    text: 'update grantry_audit_entries set details = null, details_hash = null where seq = 302',
    seq: 302,
  },
  'a deleted entry': { text: 'delete from grantry_audit_entries where seq = 255', seq: 255 },
  'a deleted entry, and others moved up': {
    text: 'delete from grantry_audit_entries where seq = 255; update grantry_audit_entries set seq = -seq where seq > 255; update grantry_audit_entries set seq = -seq - 1 where seq < 0',
    seq: 255,
  },
  'a cut tail': { text: `delete from grantry_audit_entries where seq >= ${last}`, seq: last },
  'two entries that changed places': {
    text: 'update grantry_audit_entries set seq = -1 where seq = 100; update grantry_audit_entries set seq = 100 where seq = 500; update grantry_audit_entries set seq = 500 where seq = -1',
    seq: 100,
  },
  'an entry with another number': { text: 'update grantry_audit_entries set seq = 9000 where seq = 400', seq: 400 },
};

it.each(databaseKinds)(
  'any single change of the log is found, on %s',
  async (kind) => {
    const bench = await makeBench({ kind });
    benches.push(bench);
    const { vault } = await bench.open();
    const context = internalsOf(vault).open();
    await fill(context);
    await dropTriggers(context);
    const known = { keys: readVerifiers(await verifiersOf(context)), size };
    expect(await checkParts(storedParts(context.store.db, size), known)).toMatchObject({
      finding: null,
      entries: size,
    });
    for (const [name, { text, seq }] of Object.entries(changes)) {
      const finding = await findingAfter(context, text, known);
      expect([name, finding?.seq]).toEqual([name, seq]);
    }
    expect((await checkParts(storedParts(context.store.db, size), known)).finding).toBeNull();
  },
  120_000,
);

/** Makes changes and one checkpoint in the middle. */
async function fill(context: VaultContext): Promise<void> {
  const { audit } = context;
  const add = (count: number) =>
    changing(context, async ({ tx }) => {
      const entry = {
        at: context.world.now(),
        tenant: 'acme',
        provider: 'strict',
        account: 'default',
        generation: 1,
        action: 'token.handed_out',
        outcome: 'ok' as const,
        code: null,
        reason: null,
        details: { n: 1 },
      };
      const acting = audit?.program;
      if (audit === undefined || acting === undefined) throw new Error('the vault has no log');
      await audit.entries(
        tx,
        Array.from({ length: count }, () => ({ entry, acting })),
      );
    });
  await add(298);
  await sequenceEntries(context);
  await signNow(context);
  // Two entries tell of the keys that the first checkpoint made.
  await add(300);
  await sequenceEntries(context);
  await signNow(context);
}

async function dropTriggers({ store }: VaultContext): Promise<void> {
  await store.transaction(async (tx) => {
    for (const table of ['actors', 'entries', 'subjects', 'tiles', 'checkpoints']) {
      const names = store.kind === 'sqlite' ? ['update', 'delete'] : ['final'];
      for (const name of names) {
        const trigger = `grantry_audit_${table}_${name}`;
        const on = store.kind === 'sqlite' ? '' : ` on grantry_audit_${table}`;
        await sql.raw(`drop trigger ${trigger}${on}`).execute(tx);
      }
    }
  });
}

class Undo extends Error {}

/** Changes the log, checks it in the same transaction, and takes the change back. */
async function findingAfter({ store }: VaultContext, text: string, known: Known): Promise<LogReport['finding']> {
  let finding: LogReport['finding'] = null;
  const undone = store.transaction(async (tx) => {
    for (const statement of text.split('; ')) await sql.raw(statement).execute(tx);
    finding = (await checkParts(storedParts(tx, size), known)).finding;
    throw new Undo();
  });
  await expect(undone).rejects.toThrow(Undo);
  return finding;
}
