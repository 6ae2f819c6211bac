import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { overview, overviewFile } from '../scripts/draw-overview.ts';

test('the committed picture is what the script draws', () => {
  expect(readFileSync(overviewFile, 'utf8')).toBe(overview());
});

test('the README shows the picture', () => {
  expect(readFileSync('README.md', 'utf8')).toContain(`](${overviewFile})`);
});
