/** `onboard` on a terminal asks for what the options leave out, and goes on where it was stopped. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { builtInProvider } from '../../src/providers/catalogue.ts';
import { demoClient, startSimulator } from '../../src/simulator/index.ts';
import { shared } from '../support/broker.ts';
import { freePort } from '../support/free-port.ts';
import { Home } from './grantry.ts';

/** BSD has another program of this name, which does not know the option. */
const hasTerminal = spawnSync('script', ['--version']).status === 0;
const env = { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1' };

/** A text on the screen, and the keys that a person then types, or another thing to do. */
type Reply = readonly [shown: string, reply: string | ((screen: string) => void)];

/** Runs a command on a pseudo terminal, and answers its questions in their order. */
async function onTerminal(home: Home, args: readonly string[], replies: readonly Reply[]) {
  const main = await shared('command line');
  const command = [process.execPath, main, ...args].map((word) => `'${word}'`).join(' ');
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: home.path,
    env: { PATH: process.env['PATH'] ?? '', HOME: home.path, GRANTRY_HOME: join(home.path, 'home'), ...env },
    stdio: 'pipe',
  });
  const left = [...replies];
  let screen = '';
  let seen = 0;
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    const [shown, reply] = left[0] ?? [];
    if (shown === undefined || reply === undefined || !screen.slice(seen).includes(shown)) return;
    seen = screen.length;
    left.shift();
    if (typeof reply === 'string') terminal.stdin.write(reply);
    else reply(screen);
  });
  const [code] = await once(terminal, 'close');
  return { code, screen, left };
}

test('onboard asks for what is missing, and the next run goes on after the step that was stopped', async ({ skip }) => {
  skip(!hasTerminal, 'the program `script` of util-linux, which makes a terminal, is not installed');
  await using home = await Home.make();
  const simulator = await startSimulator({ profiles: ['zoho'], dataCenters: ['us', 'eu'], autoApprove: true });
  onTestFinished(() => simulator.close());
  const zoho = builtInProvider('zoho');
  if (zoho === null) throw new Error('no zoho');
  await writeFile(join(home.path, 'zoho.json'), JSON.stringify(simulator.rewrite(zoho)));
  await home.run(['init'], { env });
  expect((await home.run(['provider', 'add', 'zoho.json'], { env })).code).toBe(0);
  const secret = demoClient.secret ?? '';
  const redirectUri = `http://127.0.0.1:${await freePort()}/callback`;
  const stopped = await onTerminal(
    home,
    ['onboard', 'acme', '--redirect-uri', redirectUri, '--no-open'],
    [
      ['Data centre of the application', 'eu\r'],
      ['Client id: ', `${demoClient.clientId}\r`],
      ['Client secret', `${secret}\r`],
      ['Scopes, with spaces between them (Enter for ', '\r'],
      ['Open this URL', '\u0003'],
    ],
  );
  expect(stopped.left, stopped.screen).toEqual([]);
  expect(stopped.code, stopped.screen).toBe(130);
  expect(stopped.screen).not.toContain(secret);
  expect(stopped.screen).toMatch(/1\/5 +app +done +acme-zoho \(zoho, registered in eu\)/);
  const opened: Promise<unknown>[] = [];
  const visit = (screen: string) => {
    const [url] = /http:\/\/127\.0\.0\.1:\d+\/oauth\/\S+/.exec(screen.slice(screen.lastIndexOf('Open this URL'))) ?? [];
    opened.push(fetch(url ?? '').then((answer) => answer.text()));
  };
  const finished = await onTerminal(home, ['onboard', 'acme', '--no-open'], [['code_challenge_method=S256', visit]]);
  await Promise.allSettled(opened);
  expect(finished.code, finished.screen).toBe(0);
  expect(finished.screen).toMatch(/1\/5 +app +kept/);
  expect(finished.screen).toMatch(/3\/5 +connect +done +acme to zoho, account default, data centre eu/);
  expect(finished.screen).not.toMatch(/Client id:|Client secret|Scopes, with/);
  expect(finished.screen).toContain('acme is ready');
});
