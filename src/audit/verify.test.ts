import { describe, expect, test } from 'vitest';
import { dice, entryText, seqOfEntry } from '../../test/support/audit-log.ts';
import { type Hash, leafHash, rootOfLeaves } from './merkle.ts';
import type { TreeHead } from './proofs.ts';
import { createVerifier, type Verdict } from './verify.ts';

const seed = 20_261_201;

const leavesOf = (entries: readonly string[]) => entries.map((entry) => leafHash(entry));
const headOf = (entries: readonly string[]): TreeHead => ({
  size: entries.length,
  root: rootOfLeaves(leavesOf(entries)),
});

interface Reading {
  readonly stored?: readonly Hash[];
  readonly size?: number;
  readonly firstSeq?: number;
  /** Entries in one call. */
  readonly portion?: number;
}

function verdictOn(entries: readonly string[], head: TreeHead, reading: Reading = {}): Verdict {
  const { stored = [], portion = 7, ...options } = reading;
  const verifier = createVerifier({ seqOf: seqOfEntry, ...options });
  const end = Math.max(entries.length, stored.length);
  for (let at = 0; at < end; at += portion) {
    verifier.feedHashes(stored.slice(at, at + portion));
    verifier.feed(entries.slice(at, at + portion));
  }
  return verifier.check(head);
}

/** A change of one kind at one place, and the finding that it must lead to. */
interface Change {
  readonly entries: readonly string[];
  readonly kind: string;
  readonly seq: number;
}

const changes: Readonly<
  Record<string, (log: readonly string[], at: number, roll: (below: number) => number) => Change>
> = {
  edited: (log, at) => ({ entries: log.with(at, entryText(at, { tenant: 'forged' })), kind: 'edited', seq: at }),
  unreadable: (log, at) => ({ entries: log.with(at, '{"seq":'), kind: 'edited', seq: at }),
  deleted: (log, at, roll) => {
    const count = 1 + roll(log.length - at);
    const kind = at + count === log.length ? 'tail_cut' : 'deleted';
    return { entries: log.toSpliced(at, count), kind, seq: at };
  },
  'tail cut': (log, at) => ({ entries: log.slice(0, at), kind: 'tail_cut', seq: at }),
  inserted: (log, at) => ({
    entries: log.toSpliced(at, 0, entryText(at, { tenant: 'forged' })),
    kind: 'inserted',
    seq: at,
  }),
  'inserted with any number': (log, at, roll) => {
    const number = (at + 1 + roll(log.length + 3)) % (log.length + 4);
    return { entries: log.toSpliced(at, 0, entryText(number, { tenant: 'forged' })), kind: 'inserted', seq: at };
  },
  doubled: (log, at) => {
    const entry = log[at] ?? expect.unreachable();
    return { entries: log.toSpliced(at, 0, entry), kind: 'inserted', seq: at + 1 };
  },
  'doubled elsewhere': (log, at, roll) => {
    const from = roll(log.length);
    const entry = log[from] ?? expect.unreachable();
    return { entries: log.toSpliced(at, 0, entry), kind: 'inserted', seq: from === at ? at + 1 : at };
  },
  appended: (log) => ({ entries: [...log, entryText(log.length)], kind: 'inserted', seq: log.length }),
  swapped: (log, at, roll) => {
    const other = (at + 1 + roll(log.length - 1)) % log.length;
    const [one = '', two = ''] = [log[at], log[other]];
    return { entries: log.with(at, two).with(other, one), kind: 'swapped', seq: Math.min(at, other) };
  },
  renumbered: (log, at, roll) => {
    const number = (at + 1 + roll(log.length - 1)) % log.length;
    const text = (log[at] ?? '').replace(`"seq":${at},`, `"seq":${number},`);
    return { entries: log.with(at, text), kind: 'renumbered', seq: at };
  },
};

describe(`one change in a log (seed ${seed})`, () => {
  const roll = dice(seed);
  const rounds = Array.from({ length: 150 }, () => ({
    size: 2 + roll(60),
    portion: 1 + roll(20),
    dieSeed: roll(2 ** 31),
  }));

  test.each(Object.entries(changes))('%s: is found with its kind, at its first entry', (_, change) => {
    for (const { size, portion, dieSeed } of rounds) {
      const rolled = dice(dieSeed);
      const log = Array.from({ length: size }, (__, seq) => entryText(seq));
      const head = headOf(log);
      expect(verdictOn(log, head, { portion })).toEqual({ ok: true });
      const { entries, kind, seq } = change(log, rolled(size), rolled);
      const where = `size ${size}, portion ${portion}, die ${dieSeed}`;
      const stored = leavesOf(log);
      const finding = { kind, seq, isProven: true };
      expect(verdictOn(entries, head, { stored, portion, size }), where).toMatchObject({ ok: false, finding });
      expect(verdictOn(entries, head, { portion: size + 5, size, stored }), where).toMatchObject({ finding });
      // Without stored hashes the numbers name the place, or its neighbour of the same number; an edit shows at the root.
      const blind = verdictOn(entries, head, { portion, size });
      const places = kind === 'edited' ? [0, seq] : [seq, seq + 1];
      expect(blind.ok ? 'accepted' : places.includes(blind.finding.seq), where).toBe(true);
    }
  });

  test('any flipped bit is found at its entry', () => {
    const log = Array.from({ length: 40 }, (_, seq) => entryText(seq));
    const [head, stored] = [headOf(log), leavesOf(log)];
    for (let turn = 0; turn < 400; turn += 1) {
      const at = roll(40);
      const bytes = Buffer.from(log[at] ?? '');
      const place = roll(bytes.length);
      // The eighth bit would make bytes that are no text.
      bytes[place] = (bytes[place] ?? 0) ^ (1 << roll(7));
      const entries = log.with(at, bytes.toString());
      const verdict = verdictOn(entries, head, { stored });
      expect(verdict, `turn ${turn}`).toMatchObject({ ok: false, finding: { seq: at, isProven: true } });
      expect(verdictOn(entries, head).ok, `turn ${turn}`).toBe(false);
    }
  });

  test('two changes of any kind are found at the first difference', () => {
    const kinds = Object.values(changes);
    for (const { size, dieSeed } of [...rounds, ...rounds.map((round) => ({ ...round, dieSeed: round.dieSeed + 1 }))]) {
      const rolled = dice(dieSeed);
      const log = Array.from({ length: size }, (_, seq) => entryText(seq));
      let entries: readonly string[] = log;
      for (let turn = 0; turn < 2 && entries.length > 1; turn += 1) {
        const change = kinds[rolled(kinds.length)] ?? expect.unreachable();
        entries = change(entries, rolled(entries.length), rolled).entries;
      }
      const verdict = verdictOn(entries, headOf(log), { stored: leavesOf(log), size });
      const longer = Math.max(size, entries.length);
      const seq = Array.from({ length: longer }, (_, at) => at).find((at) => entries[at] !== log[at]);
      if (seq === undefined) expect(verdict).toEqual({ ok: true });
      else expect(verdict, `die ${dieSeed}`).toMatchObject({ ok: false, finding: { seq, isProven: true } });
    }
  });
});

const log = Array.from({ length: 20 }, (_, seq) => entryText(seq));
const head = headOf(log);

test('a changed stored hash is told from a changed entry', () => {
  const stored = leavesOf(log).with(4, leafHash('x'));
  expect(verdictOn(log, head, { stored })).toEqual({
    ok: false,
    finding: { kind: 'stored_hash', seq: 4, isProven: false },
  });
});

test('an entry that changed together with its stored hash shows at the root, after the last head that holds', () => {
  const entries = log.with(12, entryText(12, { tenant: 'forged' }));
  const stored = leavesOf(entries);
  expect(verdictOn(entries, head, { stored })).toEqual({
    ok: false,
    finding: { kind: 'root', seq: 0, isProven: false },
  });
  const verifier = createVerifier({ seqOf: seqOfEntry });
  verifier.feedHashes(stored);
  verifier.feed(entries.slice(0, 10));
  expect(verifier.check(headOf(log.slice(0, 10)))).toEqual({ ok: true });
  verifier.feed(entries.slice(10));
  expect(verifier.check(head)).toEqual({ ok: false, finding: { kind: 'root', seq: 10, isProven: false } });
});

test('a first difference from stored hashes without the signed root is not proven', () => {
  const entries = log.with(12, entryText(12, { tenant: 'forged' }));
  const stored = leavesOf(log).with(3, leafHash('x'));
  expect(verdictOn(entries, head, { stored })).toMatchObject({ finding: { seq: 3, isProven: false } });
});

test('a log that begins with another number reports its own numbers', () => {
  const later = Array.from({ length: 9 }, (_, at) => entryText(at + 100));
  const reading = { firstSeq: 100, stored: leavesOf(later) };
  expect(verdictOn(later, headOf(later), reading)).toEqual({ ok: true });
  expect(verdictOn(later.toSpliced(3, 2), headOf(later), reading)).toEqual({
    ok: false,
    finding: { kind: 'deleted', seq: 103, found: 105, isProven: true },
  });
});

test('an empty log has the root of nothing, and a foreign entry in it is found', () => {
  expect(verdictOn([], headOf([]))).toEqual({ ok: true });
  expect(verdictOn([entryText(0)], headOf([]))).toMatchObject({ finding: { kind: 'inserted', seq: 0 } });
  expect(verdictOn([entryText(5)], headOf([]))).toMatchObject({ finding: { kind: 'inserted', seq: 0 } });
});

test('stored hashes of a longer log do not disturb', () => {
  const stored = leavesOf([...log, entryText(20), entryText(21)]);
  expect(verdictOn(log, head, { stored })).toEqual({ ok: true });
  const entries = log.with(7, entryText(7, { tenant: 'forged' }));
  expect(verdictOn(entries, head, { stored, size: 20 })).toEqual({
    ok: false,
    finding: { kind: 'edited', seq: 7, isProven: true },
  });
});
