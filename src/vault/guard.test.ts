import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { systemWorld } from '../base/world.ts';
import { insertEvent } from '../storage/events.ts';
import { migrate } from '../storage/migrations.ts';
import { openStore, type Store } from '../storage/store.ts';
import { Guard } from './guard.ts';
import { openInstance } from './instance.ts';
import { SeenMarks } from './seen.ts';

const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

it('does not take a database for an older copy because another process noted an event between the two looks', async () => {
  const { store, home } = await newStore();
  const world = systemWorld();
  const instance = await openInstance(store, world, { installation: null, scrubPending: false });
  const marks = new SeenMarks(home);
  const options = { store, marks, instance, installation: null, logger: silentLogger, monotonic: () => 0 };
  const seq = await insertEvent(store.db, store.now(), event);
  marks.write(instance.vault_id, { epoch: instance.epoch, seq, timeline: null });
  expect((await Guard.open(options)).reason).toBeNull();
  marks.write(instance.vault_id, { epoch: instance.epoch, seq: seq + 1, timeline: null });
  expect((await Guard.open(options)).reason).toContain('an older copy was put back');
});

const event = {
  client_id: 'acme',
  grant_id: null,
  provider: null,
  account: null,
  type: 'grant.refreshed',
  from_state: null,
  to_state: null,
  generation: null,
  reason: null,
  details: '{}',
} as const;

async function newStore(): Promise<{ store: Store; home: string }> {
  const home = mkdtempSync(join(tmpdir(), 'grantry-guard-'));
  cleanUps.push(() => rmSync(home, { recursive: true, force: true }));
  const store = await openStore({ database: `sqlite:${join(home, 'grantry.db')}`, world: systemWorld() });
  cleanUps.push(() => store.close());
  await migrate(store, { mode: 'auto' });
  return { store, home };
}
