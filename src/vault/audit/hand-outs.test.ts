/** Tests of counting hand-outs: under load, with a database that is away, and where the log is strict. */
import { afterEach, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { GrantryError } from '../../base/errors.ts';
import { internalsOf } from '../internals.ts';
import { type Counted, type HandOutAudit, HandOuts } from './hand-outs.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench[Symbol.asyncDispose]();
});

const key = { tenant: 'acme', provider: 'strict' };
const acting = { actor: { kind: 'key' as const, id: 'k', name: null }, source: 'http 192.0.2.1' };

/** Counts hand-outs into a writer that the test holds. */
async function counting(audit: HandOutAudit) {
  const bench = await makeBench();
  benches.push(bench);
  const { vault } = await bench.open();
  const writes: { entries: readonly { entry: { count?: number } }[]; end: (error?: Error) => void }[] = [];
  const { audit: writer, ...context } = internalsOf(vault).open();
  if (writer === undefined) throw new Error('the vault has no log');
  const held: typeof writer = {
    ...writer,
    entries: (_tx, entries) =>
      new Promise((resolve, reject) => {
        writes.push({ entries, end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
  };
  const handOuts = new HandOuts({ ...context, audit: held }, { audit });
  const token: Counted = { counted: undefined, generation: 1 };
  return { handOuts, token, writes, count: () => handOuts.count('token.handed_out', key, token, acting) };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 20));

it('where the log is strict, a caller waits for its own write and for no later one', async () => {
  const { handOuts, writes, count } = await counting('strict');
  count();
  const first = handOuts.write();
  await soon();
  count();
  const second = handOuts.write();
  expect(writes).toHaveLength(1);
  writes[0]?.end();
  await first;
  await soon();
  expect(writes.map(({ entries }) => entries[0]?.entry.count)).toEqual([1, 1]);
  count();
  const third = handOuts.write();
  writes[1]?.end();
  await second;
  await soon();
  writes[2]?.end(new GrantryError('storage_unavailable', 'gone'));
  await expect(third).rejects.toMatchObject({ code: 'storage_unavailable' });
  // Its caller got no token, so nothing is left to tell.
  await handOuts.close();
  expect(writes).toHaveLength(3);
});

it('counts equal hand-outs in one entry, and keeps them while the database is away', async () => {
  const { handOuts, writes, count, token } = await counting('batched');
  for (let times = 0; times < 1_000; times += 1) count();
  const failed = handOuts.write();
  await soon();
  count();
  writes[0]?.end(new GrantryError('storage_unavailable', 'gone'));
  await expect(failed).rejects.toMatchObject({ code: 'storage_unavailable' });
  expect(token.counted?.count).toBe(1);
  const written = handOuts.write();
  await soon();
  writes[1]?.end();
  await written;
  expect(writes.map(({ entries }) => entries.map(({ entry }) => entry.count))).toEqual([[1_000], [1_001]]);
});
