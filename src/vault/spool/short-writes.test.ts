import type * as NodeFs from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { Spool } from './spool.ts';

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof NodeFs>();
  const writeSync = (file: number, bytes: Uint8Array, offset: number, length: number, at: number): number =>
    fs.writeSync(file, bytes, offset, Math.min(length, 10_000), at);
  return { ...fs, writeSync };
});

it('keeps a whole answer when the system writes it in pieces', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-spool-'));
  const owner = { id: 'host:1:a', host: 'host', pid: 1 };
  const spool = new Spool(directory, owner, () => 1_000);
  const slot = await spool.reserve('a-grant.an-attempt');
  const body = 'x'.repeat(50_000);
  const answer = { status: 200, contentType: null, retryAfter: null, body: new Secret(body) };
  const head = { version: 1 as const, tenant: 'acme', grantId: 'a-grant', attemptId: 'an-attempt', generation: 4 };
  const tenant: PinnedTenant = {
    tenant: 'acme',
    sealingKey: '',
    seal: (_, text) => text.reveal(),
    open: (_, text) => new Secret(text),
  };
  await slot.keep({ ...head, fence: 9, tokenFingerprint: 'fingerprint', candidateId: null, owner, at: 1_000 }, tenant, {
    ...answer,
    incomplete: false,
    requestedAt: 1_000,
  });
  const [entry] = await spool.list();
  expect(entry?.read(tenant).body?.reveal()).toBe(body);
  rmSync(directory, { recursive: true, force: true });
});
