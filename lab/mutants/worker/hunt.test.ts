/** A mutant is noticed by a check that fails with the mutant, and passes without it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Hunt, type RunCheck } from './hunt.ts';
import { type Job, type Message, parseMessage } from './job.ts';
import { mutants$ } from './switch.ts';

async function hunt(run: RunCheck, changed: Partial<Job>): Promise<Message[]> {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-hunt-'));
  const out = join(directory, 'out.jsonl');
  writeFileSync(out, '');
  const job: Job = {
    mode: 'hunt',
    out,
    mutants: [living(1), living(2)],
    noticed: [],
    hung: null,
    budgetMs: 1_000,
    checks: [
      { name: 'dear', ms: 400, seen: [1, 2] },
      { name: 'cheap', ms: 10, seen: [1] },
    ],
    ...changed,
  };
  await new Hunt(job, run, true).hunt();
  const messages = readFileSync(out, 'utf8').split('\n').filter(Boolean).map(parseMessage);
  rmSync(directory, { recursive: true });
  return messages;
}

function living(id: number): Job['mutants'][number] {
  return { id, file: 'subject.ts', passed: [] };
}

function verdictsOf(messages: readonly Message[]) {
  return messages.flatMap((each) => (each.kind === 'verdict' ? [`${each.mutant}: ${each.by} ${each.how}`] : []));
}

test('asks only the checks in which a mutant makes a difference, quick ones first, until one fails', async () => {
  const asked: string[] = [];
  const messages = await hunt(async (name) => {
    asked.push(`${mutants$.active} ${name}`);
    return mutants$.active === 1 && name === 'cheap' ? 'wrong' : null;
  }, {});
  expect(asked).toEqual(['1 cheap', '2 dear', '0 cheap']);
  expect(verdictsOf(messages)).toEqual(['2: null 1 checks, 0 left', '1: check cheap | wrong']);
});

test('believes no check that fails without a mutant too', async () => {
  const messages = await hunt(async (name) => (name === 'cheap' ? 'always' : null), {});
  expect(verdictsOf(messages)).toEqual(['2: null 1 checks, 0 left']);
  expect(messages).toContainEqual({ kind: 'broken', check: 'cheap', how: 'always' });
});

test('says of a mutant that no check reaches that it lives', async () => {
  const messages = await hunt(async () => null, { mutants: [living(3)] });
  expect(verdictsOf(messages)).toEqual(['3: null no check reaches it']);
});

test('calls a run that did not end a time-out only if it ends without the mutant', async () => {
  const hung = { mutant: 1, check: 'cheap' };
  const ends = await hunt(async () => null, { hung, mutants: [living(1)] });
  expect(verdictsOf(ends)).toEqual(['1: time-out cheap']);
  const fails = await hunt(async () => 'always', { hung, mutants: [living(1)] });
  expect(verdictsOf(fails)).toEqual([]);
});

test('spends only its budget on one mutant', async () => {
  const checks = ['a', 'b', 'c'].map((name) => ({ name, ms: 600, seen: [1] }));
  const asked: string[] = [];
  await hunt(
    async (name) => {
      asked.push(name);
      return null;
    },
    { checks, mutants: [living(1)] },
  );
  expect(asked).toEqual(['a', 'b']);
});
