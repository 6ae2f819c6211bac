import { mkdirSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { answer, newSpool, removeSpools, tenantKeys } from '../../../test/support/spools.ts';
import { type ConsentHead, type ConsentSlot, Consents } from './consents.ts';

afterEach(removeSpools);

const id = 'a'.repeat(64);
const head: ConsentHead = {
  version: 1,
  id,
  tenant: 'acme',
  provider: 'strict',
  account: 'default',
  app: 'strict',
  dc: null,
  asked: [],
  captured: {},
  stateHash: null,
  session: null,
  seen: null,
  owner: { id: 'a:1:x', host: 'a', pid: 1 },
  at: 0,
};

/** Takes the place of a file, so that the system refuses to remove it or to move another one there. */
function block(directory: string, name: string): void {
  mkdirSync(join(directory, name, 'in-the-way'), { recursive: true });
}

/** A consent's file, and what was told of files that stay. */
async function reserved({ isKept }: { isKept: boolean }) {
  const told: string[] = [];
  const consents = new Consents(newSpool().directory, (path) => told.push(path));
  const slot = await consents.reserve(id, 'nonce');
  if (isKept) await slot.keep(head, await tenantKeys.pin('acme'), answer('{}'));
  return { consents, slot, told, path: (name: string) => join(consents.directory, name) };
}

describe('a file of a consent that cannot be removed or moved', () => {
  it.each<keyof Omit<ConsentSlot, 'keep'>>(['remove', 'leave', 'setAside'])(
    'fails no caller at %s, and is told',
    async (end) => {
      const { slot, told, consents, path } = await reserved({ isKept: false });
      const [name = ''] = readdirSync(consents.directory);
      rmSync(path(name));
      block(consents.directory, name);
      await slot[end]();
      expect(told).toEqual([path(name)]);
    },
  );

  it.each(['slot', 'entry'] as const)('with an answer fails no caller of its %s, and stays', async (of) => {
    const { slot, told, consents, path } = await reserved({ isKept: true });
    const file = of === 'slot' ? slot : await consents.find(id);
    block(consents.directory, `${id}.unread`);
    await file?.setAside();
    expect(told).toEqual([path(`${id}.consent`)]);
    expect(await consents.find(id)).toMatchObject({ head });
    rmSync(path(`${id}.consent`));
    block(consents.directory, `${id}.consent`);
    await file?.remove();
    expect(told).toEqual([path(`${id}.consent`), path(`${id}.consent`)]);
  });

  it('hides no other one from a round', async () => {
    const { told, consents, path } = await reserved({ isKept: true });
    block(consents.directory, 'old.nonce.reserved');
    utimesSync(path('old.nonce.reserved'), 1, 1);
    block(consents.directory, `${'b'.repeat(64)}.consent`);
    expect(await consents.list('consent', { reservedBefore: 60_000 })).toMatchObject([{ head }]);
    expect(told.toSorted()).toEqual([path(`${'b'.repeat(64)}.consent`), path('old.nonce.reserved')].toSorted());
  });
});
