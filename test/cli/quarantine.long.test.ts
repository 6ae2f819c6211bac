/** `grantry adopt` and `grantry recover`, and how the other commands say that a database is quarantined. */
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoClient, type RunningSimulator, startSimulator } from '../../src/simulator/index.ts';
import { openVault } from '../../src/vault/open.ts';
import { Home, type Run } from './grantry.ts';

let simulator: RunningSimulator;
let home: Home;
const revoked: string[] = [];

beforeAll(async () => {
  simulator = await startSimulator({ profiles: ['none', 'strict'], autoApprove: true });
  home = await Home.make();
  await mkdir(join(home.path, 'home'), { mode: 0o700 });
  await using vault = await openVault({
    home: join(home.path, 'home'),
    database: `sqlite:${join(home.path, 'home', 'grantry.db')}`,
    rootKey: `file:${join(home.path, 'home', 'root.key')}`,
    spool: join(home.path, 'home', 'spool'),
    unsafeAllowLoopbackProviders: 'simulated providers listen on loopback ports',
  });
  for (const provider of ['none', 'strict']) {
    await vault.providers.put(simulator.definition(provider));
    const clientSecret = demoClient.secret ?? '';
    await vault.apps.put(provider, { provider, clientId: demoClient.clientId, clientSecret });
    for (const tenant of ['acme', 'beta']) {
      const user = 'user@us.example';
      const minted = simulator.mintTokens({ profile: provider, clientId: demoClient.clientId, user, scopes: ['read'] });
      const { accessToken, refreshToken } = minted;
      await vault.storeTokens({ tenant, provider }, { accessToken, refreshToken, expiresIn: 3_600 });
      if (tenant === 'beta') revoked.push(refreshToken);
    }
  }
});
afterAll(async () => {
  await simulator.close();
  await home[Symbol.asyncDispose]();
});

test('a copied home reports its quarantine, is adopted only on request, and then works', async () => {
  await cp(join(home.path, 'home'), join(home.path, 'copy'), { recursive: true });
  const run = runnerOf('copy');
  const why = 'This database is quarantined: This database was made elsewhere';

  const listed = await run('list', '--json');
  expect(listed.code, listed.stderr).toBe(0);
  expect(JSON.parse(listed.stdout)).toMatchObject([1, 2, 3, 4].map(() => ({ state: 'quarantined' })));
  expect(listed.stderr).toContain(why);
  expect(listed.stderr).toContain('grantry adopt');

  const shown = await run('show', 'acme', 'strict');
  expect(shown.stdout).toMatch(/^state +quarantined$/m);
  expect(shown.stderr).toContain(why);

  const examined = await run('doctor');
  expect(examined.code).toBe(4);
  expect(examined.stdout).toContain('quarantined: This database was made elsewhere');
  expect(examined.stdout).toContain('grantry adopt');

  // A valid token is read, and proves itself at the API; a refused one is not replaced.
  expect((await run('token', 'acme', 'strict')).code).toBe(0);
  const rejected = await run('token', 'acme', 'strict', '--rejected', '1');
  expect(rejected.code).toBe(4);
  expect(rejected.stderr).toContain('grantry adopt');
  expect((await run('disconnect', 'acme', 'strict')).code).toBe(4);
  expect((await run('recover')).code).toBe(4);
  expect((await run('health', '--json')).stderr).toContain(why);
  expect(tokenRequests()).toBe(0);

  const unasked = await run('adopt');
  expect(unasked.code).toBe(2);
  expect(unasked.stderr).toContain(why);
  expect(unasked.stderr).toContain('a provider ends grants that two databases refresh');
  expect(unasked.stderr).toContain('--yes');
  expect(tokenRequests()).toBe(0);

  const adopted = await run('adopt', '--yes', '--json');
  expect(adopted.code, adopted.stderr).toBe(0);
  expect(JSON.parse(adopted.stdout)).toEqual([
    { tenant: 'acme', provider: 'none', account: 'default', outcome: 'refreshed' },
    { tenant: 'beta', provider: 'none', account: 'default', outcome: 'refreshed' },
    { tenant: 'acme', provider: 'strict', account: 'default', outcome: 'not_probed' },
    { tenant: 'beta', provider: 'strict', account: 'default', outcome: 'not_probed' },
  ]);
  expect(tokenRequests()).toBe(2);
  expect((await run('doctor')).stdout).not.toContain('quarantined');

  const nothing = await run('adopt', '--yes');
  expect(nothing.code).toBe(2);
  expect(nothing.stderr).toContain('not quarantined');

  const probed = await run('adopt', '--after-restore');
  expect(probed.code, probed.stderr).toBe(0);
  expect(probed.stdout).toMatch(/^acme +strict +default +refreshed/m);
  expect(tokenRequests()).toBe(6);
});

test('condemned grants are tried again, and the exit code is 4 when one stays refused', async () => {
  await cp(join(home.path, 'copy'), join(home.path, 'condemned'), { recursive: true });
  const run = runnerOf('condemned');
  expect((await run('adopt', '--yes')).code).toBe(0);
  expect((await run('recover')).stderr).toContain('No grant needs re-authorization');
  condemn('condemned', 'none');

  expect((await run('recover', 'acme')).code).toBe(2);
  expect((await run('recover', 'nobody', 'none')).code).toBe(3);
  const one = await run('recover', 'acme', 'none', '--json');
  expect(one.code, one.stderr).toBe(0);
  expect(JSON.parse(one.stdout)).toEqual({
    tenant: 'acme',
    provider: 'none',
    account: 'default',
    outcome: 'recovered',
    tried: 1,
  });

  condemn('condemned', 'none');
  for (const token of revoked) simulator.revoke(token);
  const all = await run('recover');
  expect(all.code, all.stderr).toBe(4);
  expect(all.stdout).toMatch(/^acme +none +default +recovered +1 /m);
  expect(all.stdout).toMatch(/^beta +none +default +refused +1 +.*grantry connect beta none$/m);
  const states = JSON.parse((await run('list', '--provider', 'none', '--json')).stdout);
  expect(states).toMatchObject([{ state: 'active' }, { state: 'reauthorization_required' }]);
});

test.each(['adopt', 'recover'])('%s explains itself with examples', async (command) => {
  const help = await home.run([command, '--help']);
  expect(help.code).toBe(0);
  expect(help.stdout).toContain(`Examples:\n  grantry ${command}`);
});

function runnerOf(name: string): (...args: string[]) => Promise<Run> {
  const env = { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1', GRANTRY_HOME: join(home.path, name) };
  return (...args) => home.run(args, { env });
}

function tokenRequests(): number {
  return simulator.history.events().filter((event) => event.kind === 'token').length;
}

/** As a provider's refusals would have left them. */
function condemn(name: string, provider: string): void {
  const database = new DatabaseSync(join(home.path, name, 'grantry.db'));
  database
    .prepare(
      "update oauth_tokens set state = 'reauthorization_required', reason = 'refused', condemned_at = ? where provider = ?",
    )
    .run(Date.now(), provider);
  database.close();
}
