import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { shared } from './support/broker.ts';
import { freePort } from './support/free-port.ts';

const page = readFileSync('docs/desk.md', 'utf8');
const mark = '<<<the next one>>>';

interface Step {
  readonly command: string;
  readonly expected: string;
}

/** The page is worked through by people with clients of their own: each command prints what the page shows. */
test('the sessions, the users and the program of docs/desk.md do what they show', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'grantry-desk-page-'));
  const program = path.resolve('.tmp', `desk-page-${process.pid}.ts`);
  mkdirSync(path.dirname(program), { recursive: true });
  // The sources stand for the package, so that the page needs no build.
  writeFileSync(program, block('ts').replace("'grantry'", JSON.stringify(path.resolve('src/index.ts'))));
  writeFileSync(path.join(folder, 'users.json'), block('json'));
  try {
    const [simulator, callback] = [await twoFreePorts(), await freePort()];
    const ports = (text: string): string => text.replaceAll('4100', `${simulator}`).replaceAll('8484', `${callback}`);
    const steps: Step[] = [
      ...sessions(ports(page)),
      {
        command: `GRANTRY_HOME=$desk/home GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1 "${process.execPath}" "${program}"`,
        expected: block('').trim(),
      },
    ];
    expect(steps.length).toBeGreaterThan(20);
    const outputs = await runSession(steps, folder);
    for (const [index, { command, expected }] of steps.entries()) {
      expect(outputs[index], command).toMatch(pattern(expected));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(program, { force: true });
  }
});

function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(withoutOthers(language))?.[1];
  if (found === undefined) throw new Error(`the page has no block of ${language || 'plain text'}`);
  return found;
}

/** An end of a block looks like the beginning of a plain one, so the blocks with a language are taken out first. */
function withoutOthers(language: string): string {
  return language === '' ? page.replaceAll(/^```\w+\n[\s\S]*?^```$/gm, '') : page;
}

function sessions(text: string): Step[] {
  return [...text.matchAll(/^```console\n([\s\S]*?)^```/gm)].flatMap(([, body = '']) =>
    body
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [, command = '', expected = ''] = /^((?:.*\\\n)*.*)\n([\s\S]*)$/.exec(part) ?? [];
        return { command, expected: expected.trim() };
      }),
  );
}

/** `…` stands for anything within a line; columns may be as wide as the cells of this run need. */
function pattern(expected: string): RegExp {
  const quoted = expected.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`).replaceAll('…', '.*');
  return new RegExp(`^${quoted.replaceAll(/ {2,}/g, ' {2,}')}$`);
}

/** The simulator takes one port for each data centre. */
async function twoFreePorts(): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const first = await freePort();
    const second = await freePort();
    if (second === first + 1) return first;
    if (await isFree(first + 1)) return first;
  }
  throw new Error('there are no two free ports in a row');
}

async function isFree(port: number): Promise<boolean> {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Runs the commands in one shell, and opens every address that is asked for. */
async function runSession(steps: readonly Step[], folder: string): Promise<string[]> {
  const main = await shared('command line');
  const lines = ['exec 2>&1', `grantry() { "${process.execPath}" "${main}" "$@"; }`, `cd '${folder}'`];
  for (const { command } of steps) {
    lines.push(command, `echo; echo '${mark}'`);
    // The simulator needs a moment, which a person takes to read.
    if (command.includes('sim.log'))
      lines.push('for _ in {1..3000}; do grep -q Ctrl-C sim.log 2>/dev/null && break; sleep 0.1; done');
  }
  const shell = spawn('bash', ['-c', [...lines, 'kill %1'].join('\n')], {
    detached: true,
    env: { HOME: folder, PATH: process.env['PATH'] ?? '' },
  });
  const timer = setTimeout(() => endGroup(shell), 9 * 60_000);
  try {
    const text = await everythingSaid(shell);
    // On a terminal progress turns, and is gone afterwards; a busy machine makes anything take over a second.
    return text
      .replaceAll(/^.* …\n/gm, '')
      .split(mark)
      .map((each) => each.trim());
  } finally {
    clearTimeout(timer);
    endGroup(shell);
  }
}

function everythingSaid(shell: ChildProcess): Promise<string> {
  let text = '';
  const opened = new Set<string>();
  return new Promise((resolve, reject) => {
    shell.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      for (const [, address = ''] of text.matchAll(/^ {2}(http:\/\/127\.0\.0\.1:\d+\/oauth\/\S+)\n/gm)) {
        if (opened.has(address)) continue;
        opened.add(address);
        // The command says what came of it.
        fetch(address).then(
          (answer) => answer.text(),
          () => {},
        );
      }
    });
    shell.once('error', reject);
    shell.once('close', () => resolve(text));
  });
}

function endGroup(shell: ChildProcess): void {
  try {
    if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL');
  } catch {
    // The group has no process left.
  }
}
