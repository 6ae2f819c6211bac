import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { systemWorld } from '../base/system-world.ts';
import { openBrowser } from './browser.ts';
import { isOfOtherUser } from './peer.ts';

const url = 'https://accounts.example/authorize?state=secret-state&code_challenge=secret-challenge';

async function opened(): Promise<string> {
  let address = '';
  await openBrowser(systemWorld(), url, (given) => {
    address = given;
  });
  return address;
}

test('the address for the browser tells nothing, and leads to the provider once', async () => {
  const address = await opened();
  expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{20,}$/);
  const wrong = await fetch(new URL('/guess', address));
  expect([wrong.status, wrong.headers.get('location')]).toEqual([404, null]);
  const first = await fetch(address, { redirect: 'manual' });
  expect([first.status, first.headers.get('location')]).toEqual([303, url]);
  const second = await fetch(address, { redirect: 'manual' });
  expect([second.status, second.headers.get('location')]).toEqual([410, null]);
});

test.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0)('another user gets nothing from it', async () => {
  const address = await opened();
  const asStranger = ['--reuid=65534', '--regid=65534', '--clear-groups', 'curl', '-s', '-D', '-', address];
  const { stdout: answer } = await promisify(execFile)('setpriv', asStranger);
  expect(answer).toContain('404');
  expect(answer).not.toContain('secret-state');
  expect((await fetch(address, { redirect: 'manual' })).status).toBe(303);
});

test('a connection that the kernel does not list is of no user', () => {
  expect(isOfOtherUser({ localPort: 1, remotePort: 2 })).toBe(false);
});
