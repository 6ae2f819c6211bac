import { expect, it } from 'vitest';
import { databaseKinds, makeBench } from '../../test/support/bench.ts';
import { findChangedKeys } from './api-keys.ts';
import { internalsOf } from './internals.ts';

it.each(databaseKinds)(
  'a revocation is found however late its commit and however wrong its time, on %s',
  async (kind) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const context = internalsOf(vault).open();
    const { apiKey } = await vault.keys.create('one', { role: 'admin' });
    await vault.keys.create('two', { role: 'admin' });
    expect(await findChangedKeys(context, '0')).toBeNull();
    await vault.keys.revoke('one');
    // A commit that waited for a standby, or a clock that jumped.
    await bench.judge.transaction((tx) =>
      tx.updateTable('grantry_api_keys').set({ revoked_at: 1 }).where('name', '=', 'one').execute(),
    );
    const changes = await findChangedKeys(context, '0');
    expect(changes?.keys).toMatchObject([{ id: apiKey.id, isRevoked: true }]);
    expect(await findChangedKeys(context, changes?.count ?? '')).toBeNull();
  },
);
