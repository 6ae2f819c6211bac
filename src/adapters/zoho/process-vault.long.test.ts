import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { startServer } from '../../server/index.ts';
import { demoClient, startSimulator } from '../../simulator/index.ts';
import { openVault } from '../../vault/open.ts';

/** A program that changed one import, and ends when its work is done. */
const program = `
import { ZohoTokenManager } from 'grantry/zoho';
const { ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET, ZOHO_REFRESH_TOKEN } = process.env;
const make = () => new ZohoTokenManager(ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET, ZOHO_REFRESH_TOKEN, 'eu', { tenant: 'acme' });
const tokens = await Promise.all(Array.from({ length: 20 }, () => make().getAccessToken()));
const { data } = await make().apiCall('/crm/v8/org');
console.log(new Set(tokens).size, tokens[0], data.org[0].company_name);
`;

it('opens the vault of the environment, says where it is, and lets the process end', async () => {
  const home = mkdtempSync(join(tmpdir(), 'grantry-process-vault-'));
  await using simulator = await startSimulator({ dataCenters: ['eu'] });
  const { refreshToken } = simulator.mintTokens({
    clientId: demoClient.clientId,
    user: 'user@eu.example',
    scopes: ['ZohoCRM.org.READ'],
  });
  const open = () => openVault({ home, unsafeAllowLoopbackProviders: 'a simulator' });
  try {
    const file = join(home, 'program.js');
    writeFileSync(file, program);
    const made = await open();
    await made.providers.put(simulator.definition('zoho'));
    await made.close();

    const first = await run(file, { GRANTRY_HOME: home, ZOHO_REFRESH_TOKEN: refreshToken });
    expect(first.stdout).toMatch(/^1 1000\.\S+ Example Company EU\n$/);
    expect(first.stderr).toMatch(
      /\[GRANTRY_ZOHO_VAULT\] GrantryNotice: grantry\/zoho keeps its grants in sqlite:.*grantry\.db/,
    );
    expect(simulator.history.requestsFor(refreshToken)).toHaveLength(1);

    // The next process has the token at once, also without the credentials.
    const second = await run(file, { GRANTRY_HOME: home });
    expect(second.stdout).toBe(first.stdout);
    expect(simulator.history.requestsFor(refreshToken)).toHaveLength(1);

    await using server = await startServer({ open, port: 0, workers: false });
    const vault = await open();
    const { key } = await vault.keys.create('program', { role: 'reader', tenants: ['acme'] });
    await vault.close();
    const remote = { GRANTRY_URL: server.url, GRANTRY_API_KEY: key.reveal(), ZOHO_REFRESH_TOKEN: refreshToken };
    const third = await run(file, remote);
    expect(third.stdout).toBe(first.stdout);
    expect(third.stderr).toMatch(/keeps its grants in the vault behind http:\/\/127/);
    expect(third.stderr).toMatch(
      /\[GRANTRY_ZOHO_IMPORT\] .*The API key may not import the credentials of acme at zoho/,
    );
    for (const { stderr } of [first, second, third]) expect(stderr).not.toContain(refreshToken);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

/** The time limit ends a process that a vault keeps alive. */
function run(file: string, settings: Record<string, string>): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, ['--import', './test/support/grantry-source.ts', file], {
    timeout: 120_000,
    env: {
      PATH: process.env['PATH'],
      GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
      ZOHO_CLIENT_ID: demoClient.clientId,
      ZOHO_CLIENT_SECRET: demoClient.secret ?? '',
      ...settings,
    },
  });
}
