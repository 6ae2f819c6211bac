/** Spools in directories of their own, and answers to keep in them. */
import { generateKeySync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../../src/base/secret.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { type StoredTenantKey, TenantKeys } from '../../src/crypto/tenant-keys.ts';
import type { RawAnswer } from '../../src/oauth/types.ts';
import { registerOwner, retireOwner } from '../../src/vault/spool/owner.ts';
import { Spool, type SpoolHead } from '../../src/vault/spool/spool.ts';

export const owner = { id: 'host:1:a', host: 'host', pid: 1 };
const directories: string[] = [];
export const now = () => 90_000_000;

/** Removes every spool that was made. */
export function removeSpools(): void {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
}

/** A spool whose process has ended. */
export function deadSpool(spool: Spool): Spool {
  const dead = registerOwner(systemWorld());
  retireOwner(dead);
  return new Spool(spool.directory, dead, now);
}

export function newSpool(): Spool {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-spool-'));
  directories.push(directory);
  return new Spool(join(directory, 'spool'), owner, now);
}

export function newKeys(): TenantKeys {
  const rows: StoredTenantKey[] = [];
  return new TenantKeys({
    rootKey: generateKeySync('aes', { length: 256 }),
    vaultId: 'vault',
    world: systemWorld(),
    store: {
      load: async (tenant) => rows.filter((row) => row.tenant === tenant),
      insert: async (key) => void rows.push(key),
    },
  });
}

export const tenantKeys = newKeys();

export function head(change: Partial<Extract<SpoolHead, { version: 2 }>> = {}): SpoolHead {
  return {
    version: 2,
    facts: ['strict', 'default', '', '', '', ''],
    tenant: 'acme',
    grantId: 'a-grant',
    attemptId: 'an-attempt',
    generation: 4,
    fence: 9,
    tokenFingerprint: 'fingerprint',
    candidateId: null,
    owner,
    at: 1_000,
    ...change,
  };
}

export function answer(text: string): RawAnswer {
  return {
    status: 200,
    contentType: 'application/json',
    retryAfter: null,
    body: text === '' ? null : new Secret(text),
    incomplete: false,
    requestedAt: 5,
  };
}

export async function keep(spool: Spool, text: string, about = head()): Promise<string> {
  const slot = await spool.reserve(`${about.grantId}.${about.attemptId}`);
  await slot.keep(about, await tenantKeys.pin('acme'), answer(text));
  return join(spool.directory, `${about.grantId}.${about.attemptId}.answer`);
}

/** The files of a home's spool whose names end so. */
export function spooled({ home }: { readonly home: string }, ending: string): string[] {
  const directory = join(home, 'spool');
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(directory, name));
}
