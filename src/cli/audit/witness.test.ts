/** Tests the small witness beside a vault: it signs what goes on, and refuses what was rewritten with the real key. */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { refuses } from '../../../test/support/refuses.ts';
import { openCheckpoint } from '../../audit/checkpoint.ts';
import { readVerifiers } from '../../audit/export-file.ts';
import { systemWorld } from '../../base/system-world.ts';
import { witnessLog } from '../../vault/audit/witness.ts';
import { internalsOf } from '../../vault/internals.ts';
import { WitnessServer } from './witness-server.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function begin(): Promise<Bench> {
  const bench = await makeBench();
  ends.push(() => bench[Symbol.asyncDispose]());
  return bench;
}

async function witnessFor(file: string, logKeys: readonly string[]) {
  const witness = new WitnessServer(systemWorld(), { file, name: 'witness.example', logKeys });
  const server = witness.listener();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(async () => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  return { url: `http://127.0.0.1:${port}`, verifiers: [witness.verifier] };
}

const outside = systemWorld({ allowLoopback: true, anywhere: true });

it('signs a log that goes on, also after a restart of the witness', async () => {
  const bench = await begin();
  const { vault } = await bench.open();
  await bench.connect(vault);
  const { verifiers } = await vault.audit.checkpoint();
  const file = join(mkdtempSync(join(tmpdir(), 'grantry-witness-')), 'state.json');
  const context = internalsOf(vault).open();
  const first = await witnessLog(context, outside, await witnessFor(file, verifiers));
  await vault.disconnect({ tenant: 'acme', provider: 'strict' });
  const again = await witnessFor(file, verifiers);
  const second = await witnessLog(context, outside, again);
  expect(second.size).toBeGreaterThan(first.size);
  const [log] = readVerifiers(verifiers);
  const witnesses = readVerifiers(again.verifiers).flatMap((each) => [...each.verifiers]);
  const trust = { origin: log?.name ?? '', log: log?.verifiers ?? [], witnesses };
  expect(openCheckpoint(second.note, trust)).toMatchObject({ ok: true, witnesses: ['witness.example'] });
});

it('refuses a log that was rewritten and signed with the real key', async () => {
  const bench = await begin();
  const { vault } = await bench.open();
  await bench.connect(vault);
  const { verifiers } = await vault.audit.checkpoint();
  const place = await witnessFor(join(mkdtempSync(join(tmpdir(), 'grantry-witness-')), 'state.json'), verifiers);
  const context = internalsOf(vault).open();
  await witnessLog(context, outside, place);
  await context.store.transaction(async (tx) => {
    for (const name of ['entries_update', 'entries_delete', 'checkpoints_update', 'checkpoints_delete'])
      await sql.raw(`drop trigger grantry_audit_${name}`).execute(tx);
    for (const table of ['entries', 'checkpoints', 'heads'])
      await sql.raw(`delete from grantry_audit_${table}`).execute(tx);
  });
  await vault.apps.put('other', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
  for (let more = 0; more < 8; more += 1) await vault.keys.create(`key-${more}`, { role: 'admin' });
  await refuses(witnessLog(context, outside, place), 'integrity_failed', 'The witness refuses the audit log');
});

it('a log that it does not know is not signed', async () => {
  const bench = await begin();
  const { vault } = await bench.open();
  await bench.connect(vault);
  const place = await witnessFor(join(mkdtempSync(join(tmpdir(), 'grantry-witness-')), 'state.json'), []);
  await refuses(witnessLog(internalsOf(vault).open(), outside, place), 'provider_error', 'does not know this log');
});
