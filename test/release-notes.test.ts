import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

const { version }: { version: string } = JSON.parse(readFileSync('package.json', 'utf8'));

test('the changelog has a section for the version of the package', () => {
  const { status, stdout } = releaseNotes(`v${version}`);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^### /m);
  expect(stdout).not.toMatch(/^## /m);
});

test.each(['v99.0.0', version, ''])('a release refuses the tag %j', (tag) => {
  const { status, stderr } = releaseNotes(tag);
  expect(status).toBe(1);
  expect(stderr).toContain('does not name version');
});

function releaseNotes(tag: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['scripts/release-notes.ts', tag], { encoding: 'utf8' });
}
