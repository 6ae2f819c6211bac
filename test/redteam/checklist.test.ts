import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const page = readFileSync('docs/security-checklist.md', 'utf8');
const rows = page
  .split('\n')
  .filter((line) => /^\| (?:[CS]-\d\d|ASVS-[\d.]+) \|/.test(line))
  .map((line) => {
    const [, id = '', , state = '', proof = ''] = line.split(/ *(?<!\\)\| */);
    return { id, state, proofs: proof.split('<br>').filter((each) => each !== '') };
  });
const ids = rows.map(({ id }) => id);
const numbered = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${kind}-${String(index + 1).padStart(2, '0')}`);
const asked = [...numbered('C', 37), ...numbered('S', 9)];

describe('the security checklist', () => {
  it('has each row once', () => {
    expect(new Set(ids).size).toBe(ids.length);
    // There is no row 19.
    expect(asked.filter((id) => id !== 'C-19' && !ids.includes(id))).toEqual([]);
    expect(ids.filter((id) => id.startsWith('ASVS-')).length).toBeGreaterThan(10);
  });

  it('has a row for each that a red team test names', () => {
    const titles = readdirSync('test/redteam')
      .filter((name) => name.endsWith('.test.ts') && !name.startsWith('checklist'))
      .flatMap((name) => readFileSync(`test/redteam/${name}`, 'utf8').match(/\b[CS]-\d\d\b/g) ?? []);
    expect(titles.length).toBeGreaterThan(30);
    expect([...new Set(titles)].filter((id) => !ids.includes(id))).toEqual([]);
  });

  it.each(rows)('$id is proven, or says why not', ({ id, state, proofs }) => {
    expect(state).not.toBe('');
    if (!unprovable.has(id)) expect(proofs).not.toEqual([]);
    if (!/^(?:met|see)\b/.test(state)) expect(state).toMatch(/: /);
    for (const proof of proofs) expectTest(proof);
  });
});

describe('the promises in SECURITY.md', () => {
  const promises = (readFileSync('SECURITY.md', 'utf8').split('## What we promise, and what proves it')[1] ?? '')
    .split('\n## ')[0]
    ?.split('\n')
    .filter((line) => /^\| (?!promise|---)/.test(line))
    .map((line) => line.split(/ *\| */))
    .map(([, promise = '', proof = '']) => [promise, proof.split('<br>')] as const);

  it('are found', () => {
    expect(promises?.length).toBeGreaterThan(10);
  });

  it.each(promises ?? [])('%s is proven', (_promise, proofs) => {
    for (const proof of proofs) if (!/^`npm run [\w-]+`$/.test(proof)) expectTest(proof);
  });
});

/** Expects a proof to be a file, and the title of a test in it. */
function expectTest(proof: string): void {
  const [, file = '', title = ''] = /^`([^`]+)` › (.+)$/.exec(proof) ?? [];
  expect([proof, title.length >= 8]).toEqual([proof, true]);
  expect([file, hasTest(readFileSync(file, 'utf8'), title)]).toEqual([file, true]);
}

/** No test can show that a secret stays in memory. */
const unprovable = new Set(['ASVS-11.7']);

/** True if a file has a test, a group of tests or a row of them whose title begins so: a text, and no comment. */
function hasTest(source: string, title: string): boolean {
  return source.split('\n').some((line) => {
    const text = line.replaceAll("\\'", "'");
    return (
      !/^\s*(?:\/\/|\/?\*)/.test(text) &&
      [`'${title}`, `"${title}`, `\`${title}`].some((quoted) => text.includes(quoted))
    );
  });
}
