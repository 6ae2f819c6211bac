import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect, test } from 'vitest';

import { Browser } from './e2e/sign-in.ts';
import { freePort } from './support/free-port.ts';

const readme = readFileSync('README.md', 'utf8');
const mark = '<<<the next one>>>';

/** The README is copied by people who see Grantry for the first time: what it shows is what they get. */
test('the session and the program in the README do what they show', async () => {
  // Otherwise each step of the session waits for a simulator that never starts.
  expect(existsSync('dist'), 'the README runs what was built: run `npm run build` first').toBe(true);
  const folder = mkdtempSync(path.join(tmpdir(), 'grantry-readme-'));
  // Inside the package its name leads to what was built.
  const program = path.resolve('.tmp', `readme-${process.pid}.ts`);
  mkdirSync(path.dirname(program), { recursive: true });
  writeFileSync(program, block('ts'));
  try {
    const [simulator, callback] = [String(await freePort()), String(await freePort())];
    const steps = parseSession(block('console').replaceAll('4100', simulator).replaceAll('8484', callback));
    expect(steps.length).toBeGreaterThan(8);
    // The two settings of the README's `sim` are gone when its command ends, so the program gets them once more.
    const settings = /sim\(\) \{ (.*) grantry "\$@"; \}/.exec(readme)?.[1] ?? '';
    expect(settings).toContain('GRANTRY_HOME=$PWD/home');
    const all = [
      ...steps,
      { command: `${settings} "${process.execPath}" "${program}"`, expected: '' },
      { command: "env | grep '^GRANTRY_'", expected: '' },
    ];
    const outputs = await runSession(all, folder, `http://127.0.0.1:${callback}/callback`);
    for (const [index, step] of steps.entries()) expect(outputs[index], step.command).toMatch(pattern(step.expected));
    expect(outputs[steps.length]).toMatch(/^a token of \d+ characters, good until \d{4}-.*\n\{"org":/);
    expect(outputs[steps.length + 1], 'settings that outlive the session').toBe('');
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(program, { force: true });
  }
});

test('no page exports a setting that weakens Grantry', () => {
  for (const page of [...globSync('*.md'), ...globSync('docs/**/*.md')]) {
    expect(readFileSync(page, 'utf8'), page).not.toMatch(/export .*GRANTRY_UNSAFE_/);
  }
});

interface Step {
  readonly command: string;
  readonly expected: string;
}

function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(readme)?.[1];
  if (found === undefined) throw new Error(`the README has no ${language} block`);
  return found;
}

function parseSession(text: string): Step[] {
  const parts = text.split(/^\$ /m).slice(1);
  return parts.map((part) => {
    const [, command = '', expected = ''] = /^((?:.*\\\n)*.*)\n([\s\S]*)$/.exec(part) ?? [];
    return { command, expected: expected.trim() };
  });
}

/** `…` stands for anything within a line. */
function pattern(expected: string): RegExp {
  const quoted = expected.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`).replaceAll('…', '.*');
  return new RegExp(`^${quoted}$`);
}

/** Runs the commands in one shell, as a person does who opens every address that is asked for. */
async function runSession(steps: readonly Step[], folder: string, redirectUri: string): Promise<string[]> {
  const alias = /^ +(alias grantry=.*)$/m.exec(readme)?.[1] ?? '';
  const lines = ['exec 2>&1', 'shopt -s expand_aliases', alias, `cd '${folder}'`];
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
    const text = await everythingSaid(shell, redirectUri);
    // On a terminal progress turns, and is gone afterwards; a busy machine makes anything take over a second.
    const said = text.replaceAll(/^.* …\n/gm, '');
    return said.split(mark).map((each) => each.trim());
  } finally {
    clearTimeout(timer);
    endGroup(shell);
  }
}

function everythingSaid(shell: ChildProcess, redirectUri: string): Promise<string> {
  let text = '';
  let opened = false;
  return new Promise((resolve, reject) => {
    shell.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const address = /^ {2}(http:\/\/127\.0\.0\.1:\d+\/oauth\/\S+)$/m.exec(text)?.[1];
      if (address === undefined || opened) return;
      opened = true;
      visit(address, redirectUri).catch(reject);
    });
    shell.once('error', reject);
    shell.once('close', () => resolve(text));
  });
}

async function visit(address: string, redirectUri: string): Promise<void> {
  await fetch(await new Browser().signIn(address, redirectUri));
}

function endGroup(shell: ChildProcess): void {
  try {
    if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL');
  } catch {
    // The group has no process left.
  }
}
