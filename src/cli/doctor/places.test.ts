import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { shardOf } from '../../vault/spool/names.ts';
import { checkHome, checkSpool } from './places.ts';

let spool: string;
beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), 'grantry-doctor-'));
});
afterEach(() => rmSync(spool, { recursive: true, force: true }));

it('names each kind of answer that needs attention, and what to do about it', async () => {
  for (const name of ['1.answer', '2.answer', '3.refused', '4.m9.unread', '5.waiting', 'a-session.consent']) {
    writeFileSync(join(spool, `a-grant.${name}`), '');
  }
  const { status, detail, action } = await checkSpool({ spool });
  expect(status).toBe('warn');
  expect(detail).toContain('2 answers are not committed yet');
  expect(detail).toContain('1 answers are set aside: the database refuses to save them');
  expect(detail).toContain('1 answers were not understood and are kept');
  expect(action).toContain('grantry recover TENANT PROVIDER');
});

it('names a folder of committed answers that cannot be read', async () => {
  const shard = join(spool, shardOf('a-grant'));
  mkdirSync(join(spool, 'saved'));
  // Reading a file as a directory fails for every user.
  writeFileSync(shard, '');
  expect(await checkSpool({ spool })).toMatchObject({
    status: 'warn',
    detail: expect.stringContaining(`cannot be read: ${shard}`),
  });
});

it('fails for a home that others can write', async () => {
  chmodSync(spool, 0o770);
  expect(await checkHome({ home: spool })).toMatchObject({ status: 'fail', action: `Run: chmod 700 '${spool}'` });
  chmodSync(spool, 0o755);
  expect(await checkHome({ home: spool })).toMatchObject({ status: 'ok' });
});
