import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openVault } from '../../../src/vault/open.ts';
import type { VaultOptions } from '../../../src/vault/options.ts';
import type { Vault } from '../../../src/vault/types.ts';

export interface Home extends Disposable {
  readonly path: string;
}

export function scratchHome(): Home {
  const path = mkdtempSync(join(tmpdir(), 'grantry-home-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Opens a vault with the test's own home, key and spool. */
export function openIn(database: string, home: Home, options: VaultOptions = {}): Promise<Vault> {
  return openVault({ database, home: home.path, rootKey: `file:${join(home.path, 'root.key')}`, ...options });
}
