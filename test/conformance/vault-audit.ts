import { expect } from 'vitest';
import { openCheckpoint } from '../../src/audit/checkpoint.ts';
import { readVerifiers, verifyExport } from '../../src/audit/export-file.ts';
import { hashFromBase64, leafHash } from '../../src/audit/merkle.ts';
import { verifyInclusion } from '../../src/audit/proofs.ts';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from '../support/bench.ts';
import { refuses } from '../support/refuses.ts';

interface Setup {
  readonly bench: Bench;
  readonly vault: Vault;
  readonly remote: boolean;
}

const key = { tenant: 'acme', provider: 'strict' };

export const historyCase = {
  "tells a grant's life": async ({ vault, bench, remote }: Setup) => {
    await bench.connect(vault);
    await vault.getAccessToken(key);
    await vault.disconnect(key);
    const { items, next } = await vault.history(key);
    expect(next).toBeNull();
    const actions = items.map(({ action }) => action);
    expect(actions).toEqual(
      expect.arrayContaining([
        'grant.stored',
        'refresh.saved',
        'grant.refreshed',
        'token.handed_out',
        'grant.disconnected',
      ]),
    );
    const end = items.find(({ action }) => action === 'grant.disconnected');
    expect(end?.actor?.kind).toBe(remote ? 'key' : 'user');
  },
};

export const auditCases = {
  'audit.list': {
    'tells changes and hand-outs, the newest first, and by filter': async ({ vault, bench, remote }: Setup) => {
      await bench.connect(vault);
      await vault.getAccessToken(key);
      await vault.getAccessToken(key);
      const { items } = await vault.audit.list({ tenant: 'acme', action: 'token.handed_out' });
      expect(items.reduce((sum, { count }) => sum + (count ?? 1), 0)).toBe(2);
      expect(items[0]).toMatchObject({ ...key, account: 'default', outcome: 'ok', generation: 2 });
      expect(items[0]?.actor.kind).toBe(remote ? 'key' : 'user');
      const all = await vault.audit.list({ order: 'asc', limit: 1 });
      expect(all.items.map(({ seq }) => seq)).toEqual([0]);
      const second = await vault.audit.list({ order: 'asc', limit: 1, cursor: all.next ?? '' });
      expect(second.items.map(({ seq }) => seq)).toEqual([1]);
      const none = await vault.audit.list({ actor: 'nobody', since: new Date(0), until: new Date(4e12) });
      expect(none).toEqual({ items: [], next: null });
    },
    'refuses what is no filter': async ({ vault }: Setup) => {
      await refuses(vault.audit.list({ limit: 0 }), 'invalid_request');
      await refuses(vault.audit.list({ cursor: 'x' }), 'invalid_request');
    },
  },
  'audit.checkpoint': {
    'signs the log under keys that its answer names': async ({ vault, bench }: Setup) => {
      await bench.connect(vault);
      const { note, size, root, verifiers } = await vault.audit.checkpoint();
      const [log] = readVerifiers(verifiers);
      const opened = openCheckpoint(note, { origin: log?.name ?? '', log: log?.verifiers ?? [] });
      expect(opened).toMatchObject({ ok: true, checkpoint: { size } });
      expect(note.split('\n')[2]).toBe(root);
      expect(size).toBeGreaterThan(0);
    },
  },
  'audit.verify': {
    'finds a log as it was signed': async ({ vault, bench }: Setup) => {
      await bench.connect(vault);
      const report = await vault.audit.verify();
      expect(report).toMatchObject({ finding: null, unsigned: 0 });
      expect(report.entries).toBeGreaterThan(0);
      expect(report.checkpoints).toBeGreaterThan(0);
      const { verifiers } = await vault.audit.checkpoint();
      expect((await vault.audit.verify({ verifiers })).finding).toBeNull();
      expect((await vault.audit.verify({ verifiers: [] })).finding?.kind).toBe('bad_checkpoint');
    },
  },
  'audit.export': {
    'copies a log that is checked with public keys only': async ({ vault, bench }: Setup) => {
      await bench.connect(vault);
      const { verifiers } = await vault.audit.checkpoint();
      const lines: string[] = [];
      for await (const line of vault.audit.export()) lines.push(line);
      const report = await verifyExport(listed(lines), { verifiers });
      expect(report).toMatchObject({ finding: null, hasOwnKeys: false });
      const at = lines.findIndex((line) => line.includes('"grant.stored"'));
      const changed = lines.with(at, (lines[at] ?? '').replace('grant.stored', 'grant.stolen'));
      expect((await verifyExport(listed(changed), { verifiers })).finding).not.toBeNull();
    },
  },
  'audit.prove': {
    'proves one entry': async ({ vault, bench }: Setup) => {
      await bench.connect(vault);
      const { entry, proof, checkpoint, verifiers } = await vault.audit.prove(1);
      const [log] = readVerifiers(verifiers);
      const opened = openCheckpoint(checkpoint, { origin: log?.name ?? '', log: log?.verifiers ?? [] });
      if (!opened.ok) throw new Error(opened.why);
      const hashes = proof.flatMap((text) => hashFromBase64(text) ?? []);
      expect(verifyInclusion(opened.checkpoint, 1, leafHash(entry), hashes)).toBe(true);
      expect(verifyInclusion(opened.checkpoint, 1, leafHash(`${entry} `), hashes)).toBe(false);
      await refuses(vault.audit.prove(1_000_000), 'not_found');
    },
  },
};

async function* listed(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}
