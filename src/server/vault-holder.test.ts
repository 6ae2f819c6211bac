import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { GrantryError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { systemWorld } from '../base/system-world.ts';
import { openVault } from '../index.ts';
import type { Vault } from '../vault/types.ts';
import { VaultHolder } from './vault-holder.ts';

test('a database that is lost between opening and the first use is waited for', async () => {
  const home = mkdtempSync(path.join(tmpdir(), 'grantry-holder-'));
  const seen: Vault[] = [];
  const holder = await VaultHolder.open({
    open: () => openVault({ home }),
    world: systemWorld({ timeScale: 0.01 }),
    logger: silentLogger,
    onOpen: async (vault) => {
      seen.push(vault);
      if (seen.length === 1) throw new GrantryError('storage_unavailable', 'The database went away.');
    },
  });
  try {
    expect(() => holder.get()).toThrow('The database went away.');
    await expect.poll(() => seen.length).toBe(2);
    await expect.poll(() => holder.get()).toBe(seen[1]);
    // The first one was given back.
    await expect(seen[0]?.apps.list()).rejects.toThrow('closed');
  } finally {
    await holder.close();
    rmSync(home, { recursive: true, force: true });
  }
});

test('an error that waiting does not cure ends the start', async () => {
  const home = mkdtempSync(path.join(tmpdir(), 'grantry-holder-'));
  const opening = VaultHolder.open({
    open: () => openVault({ home }),
    world: systemWorld(),
    logger: silentLogger,
    onOpen: async () => {
      throw new GrantryError('invalid_request', 'The admin key file does not hold a key.');
    },
  });
  await expect(opening).rejects.toThrow('does not hold a key');
  rmSync(home, { recursive: true, force: true });
});
