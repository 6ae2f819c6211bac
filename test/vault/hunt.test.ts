import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { administer } from '../postgres.ts';
import { codeOf, makeBench, settled, until } from './bench.ts';

it('H5 memory insufficient but row newer: no second refresh', async () => {
  await using bench = await makeBench({ kind: 'sqlite' });
  const a = await bench.open();
  const b = await bench.open();
  const { key } = await bench.connect(a.vault, { expiresIn: 3600 });
  await a.vault.getAccessToken(key);
  await b.vault.getAccessToken(key);
  await bench.jump(5 * 60_000);
  await settled(300);
  await a.vault.getAccessToken(key, { minValidity: 3500 });
  await b.vault.getAccessToken(key, { minValidity: 3500 });
  expect(bench.requests()).toHaveLength(1);
});
it('H6 rejected generation is not handed out again', async () => {
  await using bench = await makeBench({ kind: 'sqlite' });
  const a = await bench.open();
  const b = await bench.open();
  const { key } = await bench.connect(a.vault, { expiresIn: 3600 });
  const t = await b.vault.getAccessToken(key);
  await a.vault.rejectAccessToken(key, t.generation);
  expect((await b.vault.rejectAccessToken(key, t.generation)).generation).toBe(2);
  expect(bench.requests()).toHaveLength(1);
});
it('H8 disconnect races a first read in the same process', async () => {
  await using bench = await makeBench({ kind: 'sqlite', profiles: ['none'] });
  const bad: number[] = [];
  for (let n = 0; n < 60; n += 1) {
    const a = await bench.open();
    const { key } = await bench.connect(a.vault, { provider: 'none', tenant: `t${n}`, expiresIn: 3600 });
    const d = a.vault.disconnect(key, { revoke: false });
    for (let k = 0; k < n; k += 1) await (n % 2 ? Promise.resolve() : new Promise((r) => setImmediate(r)));
    const g = a.vault.getAccessToken(key).catch(() => {});
    await Promise.all([d, g]);
    const after = await a.vault.getAccessToken(key).then(
      () => 'TOKEN',
      (e) => e.code,
    );
    if (after !== 'grant_not_found') bad.push(n);
    await a.vault.close();
  }
  expect(bad).toEqual([]);
});
it('H13 own spooled answer is adopted after an internal commit failure', async () => {
  await using bench = await makeBench({ kind: 'sqlite' });
  const a = await bench.open();
  const { key } = await bench.connect(a.vault);
  const db = new DatabaseSync(bench.database.slice(7));
  db.exec(
    "create trigger x before update on oauth_tokens when new.generation = 2 begin select raise(abort, 'no'); end",
  );
  const code = await codeOf(a.vault.getAccessToken(key));
  db.exec('drop trigger x');
  db.close();
  await bench.jump(121_000);
  const r = await a.vault.getAccessToken(key).then(
    (t) => t.generation,
    (e) => e.code,
  );
  expect([code, r, bench.requests().length]).toEqual(['internal', 2, 1]);
});
it('H14 an answer of a living but stuck process of this host', async () => {
  await using bench = await makeBench({ kind: 'sqlite' });
  const a = await bench.open();
  const b = await bench.open();
  const { key } = await bench.connect(a.vault);
  const db = new DatabaseSync(bench.database.slice(7));
  db.exec(
    "create trigger x before update on oauth_tokens when new.generation = 2 begin select raise(abort, 'no'); end",
  );
  const code = await codeOf(a.vault.getAccessToken(key));
  db.exec('drop trigger x');
  db.close();
  await bench.jump(121_000);
  const r = await b.vault.getAccessToken(key).then(
    (t) => t.generation,
    (e) => e.code,
  );
  expect([code, r, bench.requests().length]).toEqual(['internal', 2, 1]);
});
it.each(['sqlite', 'postgres'] as const)('H19 budget used up by the refresh that is under way %s', async (kind) => {
  await using bench = await makeBench({
    kind,
    profiles: ['none'],
    change: (d) => ({ ...d, tokenLimit: { requests: 1, windowSeconds: 600 } }),
  });
  const a = await bench.open();
  const b = await bench.open();
  const { key } = await bench.connect(a.vault, { provider: 'none' });
  bench.simulator.addFault({ endpoint: 'token', effect: { kind: 'delay', ms: 100, when: 'after' } });
  const one = a.vault.getAccessToken(key);
  await until(() => bench.requests().length === 1, 'req');
  const two = b.vault.getAccessToken(key);
  expect((await two).accessToken).toBe((await one).accessToken);
});
it.each(['sqlite', 'postgres'] as const)('H24 disconnect during refresh %s', async (kind) => {
  await using bench = await makeBench({ kind });
  const a = await bench.open();
  const b = await bench.open();
  const { key, minted } = await bench.connect(a.vault);
  bench.simulator.addFault({ endpoint: 'token', effect: { kind: 'delay', ms: 1000, when: 'after' } });
  const one = codeOf(a.vault.getAccessToken(key));
  await until(() => bench.requests().length === 1, 'req');
  bench.simulator.addFault({ endpoint: 'revoke', effect: { kind: 'status', status: 503, when: 'before' } });
  const successor = bench.requests()[0]?.successor;
  console.log(await b.vault.disconnect(key));
  await bench.jump(1100);
  console.log(await one);
  await settled(50);
  const revokes = bench.simulator.history.events().filter((e) => e.kind === 'revoke');
  console.log(
    revokes.map((e) => [e.outcome, e.token === successor]),
    bench.simulator.family(minted.family)?.alive,
  );
  expect(revokes.some((e) => e.token === successor && e.outcome === 'revoked')).toBe(true);
});
it('H30 database away, token past its early mark', async () => {
  await using bench = await makeBench({ kind: 'postgres' });
  const a = await bench.open();
  const { key, minted } = await bench.connect(a.vault, { expiresIn: 3600 });
  await a.vault.getAccessToken(key);
  await bench.jump(57 * 60_000);
  bench.simulator.addFault({ endpoint: 'token', times: 99, effect: { kind: 'status', status: 500, when: 'before' } });
  await a.vault.getAccessToken(key);
  await settled(400);
  await a.vault.getAccessToken(key);
  await settled(50);
  await a.vault.getAccessToken(key);
  const url = new URL(bench.database);
  const name = url.pathname.slice(1);
  url.pathname = '/postgres';
  await administer(url.href, `alter database ${name} allow_connections false`);
  await administer(url.href, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  await administer(url.href, `alter database ${name} rename to ${name}_away`);
  try {
    bench.clock.jump(5_000);
    const results: string[] = [];
    for (let i = 0; i < 6; i += 1) {
      results.push(
        await a.vault.getAccessToken(key).then(
          (t) => String(t.accessToken === minted.accessToken),
          (e) => e.code,
        ),
      );
      await settled(20);
    }
    expect(results).toEqual(Array(6).fill('true'));
  } finally {
    await administer(url.href, `alter database ${name} allow_connections true`);
  }
});
it.each(['none', 'strict', 'timed_overlap', 'retire_on_use', 'strict_revokes_family'])(
  'H41 cut answer %s',
  async (id) => {
    await using bench = await makeBench({ kind: 'sqlite', profiles: [id] });
    const a = await bench.open();
    const { key } = await bench.connect(a.vault, { provider: id });
    bench.simulator.addFault({ endpoint: 'token', effect: { kind: 'cut' } });
    const got = a.vault.getAccessToken(key).then(
      (t) => t.generation,
      (e) => e.code,
    );
    const r = await Promise.race([got, new Promise((res) => setTimeout(() => res('WAITING'), 1500))]);
    console.log(id, r, bench.requests().length, await bench.events(key), (await bench.row(key)).state);
    await bench.pass(31_000);
    await got;
  },
);
it('H41b a provider that always cuts', async () => {
  await using bench = await makeBench({ kind: 'sqlite', profiles: ['retire_on_use', 'none'] });
  const a = await bench.open();
  const { key } = await bench.connect(a.vault, { provider: 'retire_on_use' });
  bench.simulator.addFault({ endpoint: 'token', times: 1000, effect: { kind: 'cut' } });
  const got = a.vault.getAccessToken(key).then(
    (t) => t.generation,
    (e) => e.code,
  );
  const r = await Promise.race([got, new Promise((res) => setTimeout(() => res('WAITING'), 1500))]);
  await bench.pass(31_000);
  await got;
  console.log(r, bench.requests().length);
  expect(bench.requests().length).toBeLessThan(8);
});
it('H15 corrupt spool file', async () => {
  const { readdirSync, readFileSync, writeFileSync } = await import('node:fs');
  await using bench = await makeBench({ kind: 'sqlite', profiles: ['retire_on_use'] });
  const a = await bench.open();
  const { key } = await bench.connect(a.vault, { provider: 'retire_on_use' });
  const db = new DatabaseSync(bench.database.slice(7));
  db.exec(
    "create trigger x before update on oauth_tokens when new.generation = 2 begin select raise(abort, 'no'); end",
  );
  await codeOf(a.vault.getAccessToken(key));
  db.exec('drop trigger x');
  db.close();
  await bench.crash(a);
  const file = `${bench.home}/spool/${readdirSync(`${bench.home}/spool`).find((f) => f.endsWith('.answer'))}`;
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, `${text.slice(0, -20)}AAAA${text.slice(-16)}`);
  const b = await bench.open();
  await bench.jump(121_000);
  const r = await b.vault.getAccessToken(key).then(
    (t) => t.generation,
    (e) => e.code,
  );
  expect(r).toBe(2);
});
