/** Tests what a writer of the database gains at the tables of the log: nothing that the log does not tell. */
import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { readVerifiers } from '../../audit/export-file.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { internalsOf } from '../internals.ts';
import { signNow } from './checkpoint.ts';
import { storedParts } from './parts.ts';
import { sequenceEntries } from './sequence.ts';
import { verifiersOf } from './signing-keys.ts';
import { checkParts } from './verify.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench[Symbol.asyncDispose]();
});

describe.each(databaseKinds)('on %s', (kind) => {
  async function begin() {
    const bench = await makeBench({ kind });
    benches.push(bench);
    const { vault } = await bench.open();
    await bench.connect(vault);
    return { vault, context: internalsOf(vault).open() };
  }

  it('a waiting entry that another program wrote or changed is told as altered, and stops no other', async () => {
    const { vault, context } = await begin();
    await write(context, `update grantry_audit_queue set entry = '{}'`);
    const far = `9223372036854775807`;
    const columns = '(id, at, tenant, entry, details, mac)';
    await write(
      context,
      `insert into grantry_audit_queue ${columns} values ('x', ${far}, 'acme', 'no json', '{}', null)`,
    );
    await vault.apps.put('other', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
    const { items } = await vault.audit.list({ action: ['audit.entry_altered', 'app.put'] });
    expect(items.filter(({ action }) => action === 'audit.entry_altered').length).toBeGreaterThan(1);
    expect(items.filter(({ action }) => action === 'app.put').length).toBeGreaterThan(0);
    expect((await vault.audit.verify()).finding).toBeNull();
  });

  it('a head that another program changed grows no tree', async () => {
    const { vault, context } = await begin();
    await vault.audit.list();
    await write(context, `update grantry_audit_heads set edges = '[""]', size = 0`);
    await vault.apps.put('other', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
    await expect(sequenceEntries(context)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('a key that another program put in signs nothing', async () => {
    const { vault, context } = await begin();
    await vault.audit.checkpoint();
    await write(
      context,
      `update grantry_audit_keys set verifier = verifier || 'x', id = 'ffffffff' where algorithm = 'ed25519'`,
    );
    await vault.apps.put('other', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
    const { verifiers } = await vault.audit.checkpoint();
    expect(verifiers.every((text) => !text.endsWith('x'))).toBe(true);
    expect(readVerifiers(verifiers)).toHaveLength(1);
  });

  it('a log that grows while it is checked is good', async () => {
    const { vault, context } = await begin();
    await vault.audit.checkpoint();
    const size = (await vault.audit.checkpoint()).size;
    const keys = readVerifiers(await verifiersOf(context));
    const parts = (async function* growing() {
      for await (const part of storedParts(context.store.db, size)) {
        await changing(context, async ({ recordOther }) => recordOther({ type: 'app.put' }));
        await sequenceEntries(context);
        await signNow(context);
        yield part;
      }
    })();
    expect(await checkParts(parts, { keys, size })).toMatchObject({ finding: null, entries: size });
  });
});

async function write({ store }: VaultContext, statement: string): Promise<void> {
  await store.transaction((tx) => sql.raw(statement).execute(tx));
}
