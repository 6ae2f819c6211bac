/** The bundled command line where no other package can be found: some installers hide the packages of packages. */
import { spawn } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { shared } from '../support/broker.ts';
import { Home } from './grantry.ts';

test('grantry serve needs no other package', async () => {
  await using home = await Home.make();
  const main = await shared('command line');
  const program = join(home.path, 'dist', 'cli');
  await cp(dirname(main), program, { recursive: true });
  await writeFile(join(home.path, 'package.json'), '{"name":"grantry","version":"0.0.0","type":"module"}');
  const child = spawn(process.execPath, [join(program, basename(main)), 'serve', '--port', '0', '--no-workers'], {
    cwd: home.path,
    env: { PATH: process.env['PATH'] ?? '', HOME: home.path, GRANTRY_HOME: join(home.path, 'home') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const { promise, resolve } = Promise.withResolvers<void>();
  const closed = new Promise((ended) => child.once('close', ended));
  void closed.then(() => resolve());
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      if (/http:\/\/127\.0\.0\.1:\d+/.test(printed)) resolve();
    });
  }
  try {
    await promise;
    const [url = 'none'] = /http:\/\/127\.0\.0\.1:\d+/.exec(printed) ?? [];
    expect(printed).not.toContain('"level":"error"');
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  } finally {
    child.kill('SIGTERM');
    await closed;
  }
});
