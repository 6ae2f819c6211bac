/** An answer that cannot be saved is kept as long as it may hold the only copy of a token. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, until } from '../../../test/support/bench.ts';
import { kindsIn, refuse } from '../../../test/support/refusals.ts';
import { GrantryError } from '../../base/errors.ts';
import type { FaultEffect } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';

describe('an answer that brings no refresh token', () => {
  it.each<[string, FaultEffect, string]>([
    [
      'with an access token beside an error is kept',
      { kind: 'patch', set: { error: 'odd' }, remove: ['refresh_token'] },
      'unread',
    ],
    ['without a body is not: nothing can be in it', { kind: 'status', status: 200, when: 'after', body: '' }, 'saved'],
  ])('%s', async (_, effect, kind) => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(kindsIn(bench)).toEqual([kind]);
  });
});

describe('an answer that the database refuses', () => {
  it.each([
    ['waits in the spool, and its caller is told so', false, 'answer_refused'],
    ['counts as lost if the spool could not keep it', true, 'answer_lost'],
  ] as const)('%s', async (_, isDiskFull, reason) => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    if (isDiskFull) await fillDisk(vault);
    await refuse(bench, 'save');
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'refresh_uncertain', reason });
    expect((await bench.row(key)).reason).toBe(reason);
  });
});

describe('while the database is down, an answer', () => {
  it('is offered again, ever more rarely, and saved within seconds of the end', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault, outage } = await downAfterRequest(bench);
    const { key } = await bench.connect(vault);
    const asked = vault.getAccessToken(key);
    await until(() => outage.tries === 1, 'the first try');
    for (let seconds = 0; seconds < 20; seconds += 1) await bench.jump(1_000);
    expect(outage.tries).toBeGreaterThan(6);
    expect(outage.tries).toBeLessThan(14);
    outage.isOver = true;
    await bench.jump(5_000);
    expect((await asked).generation).toBe(2);
  });

  it('keeps no process from closing, and is saved by the next one', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault, outage } = await downAfterRequest(bench);
    const { key } = await bench.connect(vault);
    const asked = codeOf(vault.getAccessToken(key));
    await until(() => outage.tries === 1, 'the first try');
    const closed = vault.close();
    for (let seconds = 0; seconds < 8; seconds += 1) await bench.jump(1_000);
    expect(await asked).toBe('storage_unavailable');
    await closed;
    expect(kindsIn(bench)).toEqual(['answer']);
    const next = await bench.open();
    expect((await next.vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });
});

/** Opens a vault whose database takes no transaction once a request is sent. */
async function downAfterRequest(bench: Bench) {
  const { vault, world } = await bench.open();
  const { store } = internalsOf(vault).open();
  const transaction = store.transaction.bind(store);
  const outage = { tries: 0, isOver: false };
  world.onSend = () => {
    store.transaction = async (run, options) => {
      if (outage.isOver) return transaction(run, options);
      outage.tries += 1;
      throw new GrantryError('storage_unavailable', 'The database is down.');
    };
  };
  return { vault, outage };
}

/** Lets the disk of the spool be full once its room is reserved. */
async function fillDisk(vault: Vault): Promise<void> {
  const spool = await internalsOf(vault).open().spool();
  const reserve = spool.reserve.bind(spool);
  spool.reserve = async (...args) => {
    const slot = await reserve(...args);
    slot.keep = () => Promise.reject(new Error('The disk is full.'));
    return slot;
  };
}
