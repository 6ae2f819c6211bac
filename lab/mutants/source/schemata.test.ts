/** Each mutant behind its switch does what its text does, and is seen where it makes a difference. */
import { stripTypeScriptTypes } from 'node:module';
import { afterEach, expect, test } from 'vitest';
import { mutants$ } from '../worker/switch.ts';
import { applied, type Mutant, mutantsOf } from './generate.ts';
import { isPure } from './pure.ts';
import { withMutants } from './schemata.ts';

const subject = `
let calls = 0;
function checkRoom(left: number): void {
  if (left < 0) throw new Error('full');
}
async function later<Value>(value: Value): Promise<Value> {
  calls += 1;
  return value;
}
export async function decide(a: number, b: number | null): Promise<string> {
  calls = 0;
  checkRoom(a);
  const rows = [1, 2, 3].values();
  if (a === 7 && b !== null && b! > 2) return 'early';
  const most = Math.max(a, b ?? 0) + 1;
  const kind = a < 3 || (await later(b === null)) ? 'small' : 'large';
  return \`\${kind} \${most} \${!b} \${calls} \${rows.next().value}\`;
}
`;

const inputs: readonly [number, number | null][] = [
  [7, 3],
  [7, 2],
  [7, null],
  [3, null],
  [2, 4],
  [4, 1],
  [-1, 0],
];

type Decide = (a: number, b: number | null) => Promise<string>;

let loaded = 0;

async function load(text: string): Promise<Decide> {
  loaded += 1;
  const plain = stripTypeScriptTypes(
    text.replace(/^import .*?; /, 'const { grantryMutants: mutants$ } = globalThis; '),
  );
  const module: { decide: Decide } = await import(
    /* @vite-ignore */ `data:text/javascript,${encodeURIComponent(plain)}//${loaded}`
  );
  return module.decide;
}

const told = (decide: Decide, [a, b]: [number, number | null]): Promise<string> =>
  decide(a, b).catch((error: unknown) => String(error));

const mutants: readonly Mutant[] = mutantsOf('subject.ts', subject);
const numbered = mutants.map((mutant, index) => ({ id: index + 1, mutant }));
const switched = await load(withMutants(subject, numbered, './switch.ts'));

afterEach(() => {
  mutants$.active = 0;
  mutants$.seen = null;
});

test('makes mutants of each kind that the subject has', () => {
  const kinds = new Set(mutants.map(({ kind }) => kind));
  expect([...kinds].toSorted()).toEqual(
    'boundary, drop arithmetic, drop call, drop side, equality, false, min max, negate, swap, true'.split(', '),
  );
});

test('keeps the line of everything', () => {
  const lines = withMutants(subject, numbered, './switch.ts').split('\n');
  expect(lines).toHaveLength(subject.split('\n').length);
  expect(lines.findIndex((line) => line.includes("return 'early'"))).toBe(
    subject.split('\n').findIndex((line) => line.includes("return 'early'")),
  );
});

test('does without a mutant what the subject does', async () => {
  const plain = await load(subject);
  for (const input of inputs) expect(await told(switched, input)).toBe(await told(plain, input));
});

test.each(numbered)('$mutant.key behind its switch does what its text does', async ({ id, mutant }) => {
  const changed = await load(applied(subject, mutant));
  for (const input of inputs) {
    mutants$.active = id;
    expect(await told(switched, input)).toBe(await told(changed, input));
  }
});

test.each(numbered)('$mutant.key is seen where its outcome differs', async ({ id, mutant }) => {
  const plain = await load(subject);
  const changed = await load(applied(subject, mutant));
  for (const input of inputs) {
    mutants$.seen = new Set();
    await told(switched, input);
    const differs = (await told(plain, input)) !== (await told(changed, input));
    if (differs) expect(mutants$.seen).toContain(id);
  }
});

test('is not seen where its value is the same', async () => {
  const guard = numbered.find(({ mutant: { kind, from } }) => kind === 'false' && from.includes('a === 7'));
  mutants$.seen = new Set();
  await told(switched, [2, 4]);
  expect(mutants$.seen).not.toContain(guard?.id);
  await told(switched, [7, 3]);
  expect(mutants$.seen).toContain(guard?.id);
});

test.each([
  ['a.b === c?.d && !list.some((each) => each.id === id)', true],
  ['isHeld(row, lease)', true],
  ['await later()', false],
  ['count++ > 1', false],
  ['(seen = true)', false],
  ['tx.rows.add(row)', false],
])('%s: can it be computed once more? %s', (text, expected) => {
  expect(isPure(text)).toBe(expected);
});
