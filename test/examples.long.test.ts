import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, test } from 'vitest';

import { openVault } from '../src/index.ts';
import { demoClient, startSimulator } from '../src/simulator/index.ts';

test('the examples connect a tenant, use the grant, and move from a token service', async () => {
  const home = mkdtempSync(join(tmpdir(), 'grantry-examples-'));
  await using simulator = await startSimulator({ dataCenters: ['us'], autoApprove: true });
  try {
    const vault = await openVault({ home, unsafeAllowLoopbackProviders: 'a simulator' });
    await vault.providers.put(simulator.definition('zoho_crm'));
    await vault.close();

    const connecting = start(home, 'connect.ts');
    await visit(await urlIn(connecting));
    expect(await end(connecting)).toContain('acme is connected to zoho_crm in the data centre us.');
    expect(await end(start(home, 'token.ts'))).toMatch(/200 .*company_name[\s\S]*Generation 1, good until 2/);
    expect(await end(start(home, 'migrate-from-token-service.ts'))).toMatch(/acme zoho_crm active us\nA token of 70 /);
    expect(await end(start(home, 'token.ts', 'nobody'), 1)).toMatch(/^nobody has no grant at zoho_crm/);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test('each example fits in 80 lines', () => {
  const examples = globSync('examples/*.ts');
  expect(examples).toHaveLength(3);
  for (const file of examples) expect(readFileSync(file, 'utf8').split('\n').length, file).toBeLessThanOrEqual(80);
});

function start(home: string, file: string, ...words: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(
    process.execPath,
    ['--import', './test/support/grantry-source.ts', `examples/${file}`, ...words],
    {
      env: {
        PATH: process.env['PATH'],
        GRANTRY_HOME: home,
        GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
        ZOHO_CLIENT_ID: demoClient.clientId,
        ZOHO_CLIENT_SECRET: demoClient.secret,
      },
    },
  );
  child.stdin.end();
  return child;
}

/** All that a program prints, once it has ended as expected. */
async function end(child: ChildProcessWithoutNullStreams, expected = 0): Promise<string> {
  const ended = new Promise((resolve) => child.once('close', resolve));
  const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(await ended, error).toBe(expected);
  return out + error;
}

function urlIn(child: ChildProcessWithoutNullStreams): Promise<string> {
  return new Promise((resolve, reject) => {
    let printed = '';
    const listen = (chunk: Buffer): void => {
      printed += chunk.toString();
      const url = /^http\S+$/m.exec(printed)?.[0];
      if (url === undefined) return;
      child.stdout.off('data', listen);
      child.stdout.pause();
      resolve(url);
    };
    child.stdout.on('data', listen);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it printed a URL: ${printed}`)));
  });
}

/** Acts as a browser: follows every redirect, up to the program's own redirect URI. */
async function visit(url: string): Promise<void> {
  const response = await fetch(url);
  expect(await response.text()).toContain('You can close this window.');
}
