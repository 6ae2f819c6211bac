import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'grantry-demo-test-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the demo proves every step and leaves nothing behind', async () => {
  const { code, text } = await demo(() => false);
  expect({ code, text }).toMatchObject({ code: 0 });
  const steps = [...text.matchAll(/^✓ (.{13}) /gm)].map((match) => match[1]?.trim());
  expect(steps).toEqual(
    ['program', 'simulator', 'init', 'provider add', 'app add', 'app add', 'connect', 'connect', 'import'].concat([
      'token',
      'call',
      'kill -9',
      'at rest',
      'list',
    ]),
  );
  expect(text).toMatch(/^14 steps proven in \d+\.\d s\.$/m);
  expectNothingLeft(text);
});

test('a step that does not hold is said, and ends it with exit code 1', async () => {
  const { code, text } = await demo((seen) => {
    const at = /^✓ simulator .* eu at (127\.0\.0\.1:\d+)/m.exec(seen)?.[1];
    // From now on no user consents.
    if (at !== undefined) void post(`http://${at}/_sim/auto-approve`, { on: false });
    return at !== undefined;
  });
  expect(code).toBe(1);
  expect(text).toMatch(/^✗ connect +where the browser stayed\n +expected: .*callback"\n +seen: +.*\/oauth\/v2/m);
  expect(text).not.toContain('steps proven');
  expectNothingLeft(text);
});

test('Ctrl-C ends it, and everything that it started', async () => {
  const { code, text } = await demo((seen, child) => {
    return /^✓ init/m.test(seen) && child.kill('SIGINT');
  });
  expect(code).toBe(130);
  expect(text).not.toContain('✗');
  expectNothingLeft(text);
});

test('the demo runs in a clean copy, with nothing that a build left behind', async () => {
  const copy = path.join(folder, 'copy');
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' });
  for (const file of files.split('\n').filter((each) => each !== '' && existsSync(each))) {
    cpSync(file, path.join(copy, file), { recursive: true });
  }
  symlinkSync(path.resolve('node_modules'), path.join(copy, 'node_modules'));
  const { code, text } = await demo(() => false, copy);
  expect({ code, text }).toMatchObject({ code: 0 });
  expect(text).toMatch(/^14 steps proven in \d+\.\d s\.$/m);
});

/** Runs the demo; `act` looks at what it has printed so far, and is asked no more once it has done something. */
function demo(
  act: (seen: string, child: ChildProcess) => boolean,
  cwd = '.',
): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, ['scripts/demo.ts'], {
    cwd,
    env: { ...process.env, TMPDIR: folder, TEMP: folder, NODE_OPTIONS: '' },
  });
  let text = '';
  let acted = false;
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        acted ||= act(text, child);
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, text }));
  });
}

async function post(url: string, body: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(response.status).toBe(200);
}

function expectNothingLeft(text: string): void {
  expect(readdirSync(folder)).toEqual([]);
  expect(() => process.kill(simulatorOf(text), 0)).toThrow('ESRCH');
}

function simulatorOf(text: string): number {
  return Number(/^✓ simulator +Zoho as process (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}
