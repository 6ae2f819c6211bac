/** One Zoho user and 25 tenants: no consent ends the grant of another tenant that was not named before. */
import { expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../../test/support/bench.ts';
import { Secret } from '../../../base/secret.ts';
import { demoClient } from '../../../simulator/index.ts';
import type { Vault } from '../../types.ts';

const provider = 'zoho_crm';
const tenants = 25;
const often = 'often';
const user = 'user@us.example';

/** A small generator (mulberry32): a seed repeats a run. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Run {
  readonly bench: Bench;
  readonly vault: Vault;
  /** The consent of each tenant at the provider. */
  readonly families: Map<string, string>;
  readonly isUserKnown: boolean;
  readonly ended: { tenant: string; named: boolean }[];
}

const isAlive = ({ bench, families }: Run, tenant: string) =>
  bench.simulator.family(families.get(tenant) ?? '')?.alive === true;

/** Connects a tenant, and notes which grants of others ended thereby, and whether each was named before. */
async function consent(run: Run, tenant: string): Promise<void> {
  const { bench, vault, families, isUserKnown, ended } = run;
  const others = [...families.keys()].filter((other) => other !== tenant && isAlive(run, other));
  const [fullest] = await vault.apps.slots(provider);
  const named = fullest !== undefined && fullest.upTo >= fullest.max ? fullest.next?.tenant : undefined;
  await bench.jump(130_000);
  const scopes = ['ZohoCRM.org.READ'];
  const code = bench.simulator.mintCode({ clientId: demoClient.clientId, user, scopes });
  await vault.redeemCode({ tenant, provider }, { code: new Secret(code), dc: 'us' });
  const made = bench.simulator.families().at(-1)?.id ?? '';
  families.set(tenant, made);
  if (isUserKnown) await vault.updateMetadata({ tenant, provider }, { user_id: '50000000001' });
  expect(isAlive(run, tenant)).toBe(true);
  for (const other of others) if (!isAlive(run, other)) ended.push({ tenant: other, named: named === other });
}

async function play(run: Run, seed: number): Promise<void> {
  const { bench, vault, families } = run;
  const roll = dice(seed);
  const waiting = Array.from({ length: tenants }, (_, index) => `t${index + 1}`);
  let reconnects = 21;
  while (waiting.length > 0 || reconnects > 0) {
    if (roll(4) === 0)
      bench.simulator.faults.add({ endpoint: 'revoke', effect: { kind: 'status', status: 503, when: 'before' } });
    const move = roll(8);
    const connected = [...families.keys()].filter((tenant) => tenant !== often);
    const some = connected[roll(Math.max(1, connected.length))];
    if (move < 3 && waiting.length > 0) await consent(run, waiting.shift() ?? '');
    else if (move < 6 && reconnects > 0) {
      reconnects -= 1;
      await consent(run, often);
    } else if (move === 6 && some !== undefined) await consent(run, some);
    else if (some !== undefined && roll(3) === 0) {
      const before = [...families.keys()].filter((tenant) => isAlive(run, tenant) && tenant !== some);
      await vault.disconnect({ tenant: some, provider }, { revoke: roll(4) > 0 });
      families.delete(some);
      // A disconnect ends no other grant.
      expect(before.filter((tenant) => !isAlive(run, tenant))).toEqual([]);
    }
  }
}

const base = Number(process.env['GRANTRY_SEED'] ?? Date.now() % 1_000_000);

it.each(databaseKinds.flatMap((kind) => [0, 1].map((more) => [kind, base + more] as const)))(
  'on %s, seed %i: who falls was named',
  { timeout: 300_000 },
  async (kind, seed) => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    const run: Run = { bench, vault, families: new Map(), isUserKnown: seed % 2 === 0, ended: [] };
    await play(run, seed);
    // More tenants than places: now some must end.
    for (let more = 1; run.ended.length < 3 && more <= 25; more += 1) await consent(run, `more${more}`);
    const consents = bench.simulator.families().length;
    process.stdout.write(`seed ${seed} on ${kind}: ${consents} consents, ${run.ended.length} ended\n`);
    expect(run.ended.length).toBeGreaterThanOrEqual(3);
    expect(run.ended.filter(({ named }) => !named)).toEqual([]);
  },
);
