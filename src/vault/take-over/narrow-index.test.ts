/** The unique index of the old program, put back by its start-up migration: it is named, with the statement that drops it. */
import { expect, test } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { runForeign } from '../../../test/support/take-over/foreign-tables.ts';
import type { Logger } from '../../base/log.ts';

test.each([
  ['sqlite', 'create unique index old_key on oauth_tokens (client_id, provider)', 'DROP INDEX "old_key";'],
  ['postgres', 'create unique index old_key on oauth_tokens (provider, client_id)', 'DROP INDEX old_key;'],
  [
    'postgres',
    'alter table oauth_tokens add constraint old_key unique (client_id, provider)',
    'ALTER TABLE oauth_tokens DROP CONSTRAINT "old_key";',
  ],
] as const)('on %s: %s', async (kind, statement, drop) => {
  expect(databaseKinds).toContain(kind);
  await using bench = await makeBench({ kind, profiles: ['none'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'none' });
  await runForeign(bench.database, [statement]);
  const store = () => vault.storeTokens({ ...key, account: 'second' }, { app: 'none', refreshToken: 'r' });

  await expect(store()).rejects.toMatchObject({
    code: 'invalid_request',
    reason: 'narrow_unique_index',
    message: 'The unique index old_key on oauth_tokens allows a tenant only one account at a provider.',
    action: expect.stringContaining(drop),
  });
  const warnings: unknown[] = [];
  const quiet = () => {};
  const logger: Logger = { debug: quiet, info: quiet, error: quiet, warn: (text, more) => warnings.push([text, more]) };
  await bench.open({ logger });
  expect(warnings).toContainEqual([
    'the grant table has a unique index of another program',
    expect.objectContaining({ action: expect.stringContaining(drop) }),
  ]);

  await runForeign(bench.database, [drop]);
  expect((await store()).grant).toMatchObject({ account: 'second' });
  warnings.length = 0;
  await bench.open({ logger });
  expect(warnings).not.toContainEqual([expect.stringContaining('unique index'), expect.anything()]);
});
