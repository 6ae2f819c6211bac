/** Answers to codes that were not understood: kept for a later version, and not for ever. */
import { renameSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { codeOf, makeBench, tidyUp, until } from '../../../test/support/bench.ts';
import { consent, filesOf, key } from '../../../test/support/consents.ts';
import { GrantryError } from '../../base/errors.ts';
import { internalsOf } from '../internals.ts';

const day = 86_400_000;

it.each(['recover', 'the next start', 'a disconnect'])('are read again by %s', async (what) => {
  await using bench = await makeBench();
  const opened = await bench.open();
  const url = await consent(bench, opened.vault);
  const { store } = internalsOf(opened.vault).open();
  const real = store.transaction.bind(store);
  vi.spyOn(store, 'transaction').mockImplementation(async (run, options) => {
    if (bench.requests().length === 0) return real(run, options);
    throw new GrantryError('storage_unavailable', 'The database went away.');
  });
  opened.vault.completeAuthorization(url).catch(() => {});
  await until(() => filesOf(bench).some((name) => name.endsWith('.consent')), 'the answer in the spool');
  await bench.crash(opened);
  // An answer of today's kind stands for one that a later version understands.
  const [name = ''] = filesOf(bench);
  const path = join(bench.home, 'spool', 'consents', name);
  const unread = path.replace(/consent$/, 'unread');
  if (what === 'the next start') renameSync(path, unread);
  else renameSync(path, `${path}.away`);
  await bench.jump(60_000);
  const { vault } = await bench.open();
  if (what !== 'the next start') renameSync(`${path}.away`, unread);
  await tidyUp(vault);
  if (what === 'recover') expect(await vault.recover(key)).toMatchObject({ outcome: 'not_needed' });
  if (what === 'a disconnect') {
    expect(await vault.disconnect(key)).toMatchObject({ revocation: 'revoked' });
    expect(bench.simulator.families().map((family) => family.alive)).toEqual([false]);
  } else expect(await vault.getAccessToken(key)).toMatchObject({ generation: 1 });
  expect(filesOf(bench)).toEqual([]);
});

it('are removed when their time is over, and when their grant is disconnected', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const fails = async () => {
    const effect = { kind: 'patch', set: { access_token: 7, refresh_token: 8 } } as const;
    bench.simulator.faults.add({ endpoint: 'token', effect });
    expect(await codeOf(vault.completeAuthorization(await consent(bench, vault)))).toBe('authorization_failed');
  };
  await fails();
  await vault.storeTokens({ ...key, tenant: 'globex' }, { refreshToken: 'of-another-tenant' });
  await vault.disconnect({ ...key, tenant: 'globex' });
  await tidyUp(vault);
  expect(filesOf(bench)).toEqual([expect.stringMatching(/\.unread$/)]);
  await vault.completeAuthorization(await consent(bench, vault));
  await fails();
  expect(filesOf(bench)).toHaveLength(2);
  await vault.disconnect(key);
  expect(filesOf(bench)).toEqual([]);
  await fails();
  const [name = ''] = filesOf(bench);
  const old = (bench.clock.now() - internalsOf(vault).open().condemnedKeptMs - day) / 1_000;
  utimesSync(join(bench.home, 'spool', 'consents', name), old, old);
  await tidyUp(vault);
  expect(filesOf(bench)).toEqual([]);
});
