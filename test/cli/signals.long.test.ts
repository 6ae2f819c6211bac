/** A signal to a one-shot command, while the one refresh that a strict provider allows is under way. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { demoClient, type RunningSimulator, startSimulator } from '../../src/simulator/index.ts';
import { shared } from '../support/broker.ts';
import { Home, type Run, type RunOptions } from './grantry.ts';

let simulator: RunningSimulator;
let home: Home;
let tenants = 0;
const env = { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1' };
const run = (args: readonly string[], options: RunOptions = {}): Promise<Run> =>
  home.run(args, { ...options, env: { ...env, ...options.env } });

beforeAll(async () => {
  simulator = await startSimulator({ profiles: ['strict'], autoApprove: true });
  home = await Home.make();
  await writeFile(join(home.path, 'strict.json'), JSON.stringify(simulator.definition('strict')));
  const app = ['app', 'add', 'strict', '--provider', 'strict', '--client-id', demoClient.clientId];
  for (const [args, stdin] of [
    [['init'], ''],
    [['provider', 'add', 'strict.json'], ''],
    [[...app, '--client-secret-file', '-'], demoClient.secret],
  ] as const) {
    const made = await run(args, { stdin: stdin ?? '' });
    expect(made.code, made.stderr).toBe(0);
  }
});
afterAll(async () => {
  await simulator.close();
  await home[Symbol.asyncDispose]();
});
beforeEach(() => simulator.faults.clear());

/** Imports a grant whose first call must refresh, and returns its tenant. */
async function importGrant(): Promise<string> {
  tenants += 1;
  const tenant = `tenant-${tenants}`;
  const minted = simulator.mintTokens({
    clientId: demoClient.clientId,
    user: 'user@us.example',
    scopes: ['read'],
    profile: 'strict',
  });
  const file = join(home.path, 'grant.ndjson');
  await writeFile(
    file,
    `${JSON.stringify({ tenant, provider: 'strict', app: 'strict', refresh_token: minted.refreshToken })}\n`,
  );
  const imported = await run(['import', file]);
  expect(imported.code, imported.stderr).toBe(0);
  await rm(file);
  return tenant;
}

/** Options that send signals once the provider has spent the token, while its answer is held back. */
function signalled(...signals: readonly NodeJS.Signals[]): RunOptions {
  return {
    onStarted: (kill) => {
      const before = spent();
      const look = setInterval(() => {
        if (spent() === before) return;
        clearInterval(look);
        for (const [at, signal] of signals.entries()) setTimeout(() => kill(signal), at * 100);
      }, 20);
    },
  };
}

const spent = (): number => simulator.history.events().length;

describe.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s', (signal) => {
  const code = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal];

  test('after a refresh was sent: its answer is stored, then the command ends', async () => {
    const tenant = await importGrant();
    simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_500, when: 'after' } });
    const ended = await run(['token', tenant, 'strict'], signalled(signal));
    expect(ended).toMatchObject({ code, signal: null });
    expect(ended.stderr).toContain('Waiting for its answer');
    simulator.faults.clear();
    const next = await run(['token', tenant, 'strict', '--json']);
    expect(next.code, next.stderr).toBe(0);
    expect(JSON.parse(next.stdout)).toMatchObject({ generation: 2 });
  });
});

test('a second signal ends the command at once', async () => {
  const tenant = await importGrant();
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 20_000, when: 'after' } });
  const startedAt = performance.now();
  const ended = await run(['token', tenant, 'strict'], signalled('SIGTERM', 'SIGTERM'));
  expect(ended.code).toBe(143);
  expect(performance.now() - startedAt).toBeLessThan(15_000);
});

test('while nothing is under way, the first signal ends the command', async () => {
  const tenant = await importGrant();
  let end = (): void => {};
  const ended = await run(['connect', tenant, 'strict', '--paste'], {
    onInput: () => {},
    onStarted: (kill) => (end = () => kill('SIGTERM')),
    onStderr: (text) => text.includes('Paste') && end(),
  });
  expect(ended.code).toBe(143);
  expect(ended.stderr).not.toContain('Waiting for its answer');
});

test('a list of refreshes stops after the one that was sent', async () => {
  const [one, two] = [await importGrant(), await importGrant()];
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_500, when: 'after' } });
  const ended = await run(['adopt', '--after-restore', '--yes'], signalled('SIGINT'));
  expect(ended.code).toBe(130);
  simulator.faults.clear();
  for (const tenant of [one, two]) {
    const next = await run(['token', tenant, 'strict', '--json']);
    expect(next.code, next.stderr).toBe(0);
  }
});

/** BSD has another program of this name, which does not know the option. */
const hasTerminal = spawnSync('script', ['--version']).status === 0;

test('Ctrl-C at a prompt ends the command as the signal does', async ({ skip }) => {
  skip(!hasTerminal, 'the program `script` of util-linux, which makes a terminal, is not installed');
  const main = await shared('command line');
  const command = `'${process.execPath}' '${main}' app add another --provider strict --client-id some-client`;
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: home.path,
    env: { PATH: process.env['PATH'] ?? '', HOME: home.path, GRANTRY_HOME: join(home.path, 'home'), ...env },
    stdio: 'pipe',
  });
  let screen = '';
  let typed = false;
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    if (typed || !screen.includes('Client secret')) return;
    typed = true;
    terminal.stdin.write('\u0003');
  });
  const [code] = await once(terminal, 'close');
  expect(code, screen).toBe(130);
  expect((await run(['app', 'show', 'another'])).code).toBe(3);
});
