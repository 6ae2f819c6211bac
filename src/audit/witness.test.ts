import { describe, expect, test } from 'vitest';
import {
  hasMlDsa,
  keyFor,
  logKey,
  readerOf,
  shortLeaves,
  timedTypes,
  verifierFor,
} from '../../test/support/audit-log.ts';
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts';
import { cosigner } from './cosignature.ts';
import { type Hash, leafHash, rootOfLeaves } from './merkle.ts';
import { signNote } from './note.ts';
import { consistencyProof, type TreeHead } from './proofs.ts';
import {
  addCosignatures,
  considerCheckpoint,
  formatAddCheckpoint,
  parseAddCheckpoint,
  type Witness,
  type WitnessState,
} from './witness.ts';

const origin = 'vault.example/audit';
const log = logKey(origin);
const witnessKey = keyFor('witness.example/w', 'ed25519-cosignature');
const keys = timedTypes.map((type) => keyFor('witness.example/w', type));
const witness: Witness = {
  logs: new Map([[origin, [log.verifier]]]),
  keys,
  timeSeconds: 1_764_528_000,
};
const leaves = shortLeaves(600);
const read = readerOf(leaves);

const headAt = (size: number, of: readonly Hash[] = leaves): TreeHead => ({
  size,
  root: rootOfLeaves(of.slice(0, size)),
});
const signed = (head: TreeHead, signer = log.signer, name = origin) =>
  signCheckpoint({ origin: name, ...head, extensions: [] }, [signer]);
const stateAt = (size: number): WitnessState => new Map([[origin, headAt(size)]]);
const requestFor = async (from: number, to: number) =>
  formatAddCheckpoint({ oldSize: from, proof: await consistencyProof(read, from, to), checkpoint: signed(headAt(to)) });

describe('a checkpoint', () => {
  const text = formatCheckpoint({ origin, ...headAt(3), extensions: ['more', 'and more'] });

  test('reads back', () => {
    expect(parseCheckpoint(text)).toEqual({ origin, ...headAt(3), extensions: ['more', 'and more'] });
    expect(parseCheckpoint('a b\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n')).toMatchObject({
      size: 0,
      origin: 'a b',
    });
  });

  test.each([
    text.slice(0, -1),
    text.replace('\n3\n', '\n03\n'),
    text.replace('\n3\n', '\n-3\n'),
    text.replace('\n3\n', '\n3.0\n'),
    text.replace('\n3\n', '\n9007199254740992\n'),
    text.replace('\n3\n', '\n\n'),
    text.replace(origin, ''),
    text.replace('=\n', '\n'),
    text.replace('=\n', '==\n'),
    text.replace('more\n', '\n'),
    `${text}\n`,
    '',
  ])('%o is none', (bad) => {
    expect(parseCheckpoint(bad)).toBeUndefined();
  });

  test('is not signed with an origin or extension of two lines', () => {
    const head = { origin, ...headAt(3), extensions: [] };
    expect(() => signCheckpoint({ ...head, origin: 'a\nb' }, [log.signer])).toThrow(RangeError);
    expect(() => signCheckpoint({ ...head, origin: '' }, [log.signer])).toThrow(RangeError);
    expect(() => signCheckpoint({ ...head, size: 0.5 }, [log.signer])).toThrow(RangeError);
    expect(() => signCheckpoint({ ...head, extensions: ['a\nb'] }, [log.signer])).toThrow(RangeError);
    expect(() => signCheckpoint({ ...head, extensions: [''] }, [log.signer])).toThrow(RangeError);
  });

  test('opens with a key of its log and the name of its log only', () => {
    const trust = { origin, log: [log.verifier] };
    const note = signed(headAt(3));
    expect(openCheckpoint(note, trust)).toEqual({
      ok: true,
      checkpoint: { origin, ...headAt(3), extensions: [] },
      witnesses: [],
    });
    const why = (source: string) => ({ source, ...openCheckpoint(source, trust) });
    expect(why(signed(headAt(3), logKey(origin, 'other').signer))).toMatchObject({ ok: false, why: 'unsigned' });
    expect(why(signed(headAt(3), log.signer, 'other.example/audit'))).toMatchObject({ why: 'other_origin' });
    expect(why(note.replace('\n3\n', '\n4\n'))).toMatchObject({ why: 'bad_signature' });
    expect(why(signNote('no checkpoint\n', [log.signer]))).toMatchObject({ why: 'malformed' });
    expect(why(note.slice(0, -1))).toMatchObject({ why: 'malformed' });
    expect(openCheckpoint(note, { origin, log: [logKey('x').verifier], witnesses: [log.verifier] }).ok).toBe(false);
  });

  test.skipIf(!hasMlDsa)('opens with the ML-DSA-44 key of its log', () => {
    const key = keyFor(origin, 'ml-dsa-44-cosignature');
    const note = signCheckpoint({ origin, ...headAt(9), extensions: [] }, [log.signer, cosigner(key, 5)]);
    expect(openCheckpoint(note, { origin, log: [verifierFor(key)] })).toMatchObject({ ok: true });
    expect(openCheckpoint(note, { origin, log: [log.verifier, verifierFor(key)] })).toMatchObject({ ok: true });
  });
});

describe('a request', () => {
  test('reads back', () => {
    const request = { oldSize: 3, proof: [leafHash('a'), leafHash('b')], checkpoint: signed(headAt(5)) };
    expect(parseAddCheckpoint(formatAddCheckpoint(request))).toEqual(request);
    const first = { oldSize: 0, proof: [], checkpoint: signed(headAt(5)) };
    expect(formatAddCheckpoint(first)).toMatch(/^old 0\n\nvault\.example/);
    expect(parseAddCheckpoint(formatAddCheckpoint(first))).toEqual(first);
  });

  test('of another form is answered with 400', async () => {
    const body = await requestFor(3, 6);
    const hash = body.split('\n')[1] ?? '';
    for (const bad of [
      '',
      body.replace('old 3', 'old 03'),
      body.replace('old 3', 'old -3'),
      body.replace('old', 'new'),
      body.replace('\n\n', '\n'),
      body.replace(hash, `${hash}=`),
      body.replace(hash, hash.slice(4)),
      body.replace(hash, Array.from({ length: 64 }, () => hash).join('\n')),
      body.slice(0, -1),
      body.replace('\n6\n', '\nsix\n'),
      await requestFor(0, 6).then((first) => first.replace('old 0', 'old 7')),
    ]) {
      expect(considerCheckpoint(stateAt(3), bad, witness), bad).toEqual({ status: 400, body: '' });
    }
  });
});

describe('a witness', () => {
  test('signs what continues its last tree, and each answer holds', async () => {
    let state: WitnessState = new Map();
    let from = 0;
    for (const to of [0, 1, 1, 2, 64, 255, 256, 257, 600]) {
      const answer = considerCheckpoint(state, await requestFor(from, to), witness);
      if (answer.status !== 200) expect.unreachable(`${from} to ${to}: ${answer.status}`);
      else {
        expect(answer.signed).toEqual({ origin, head: headAt(to) });
        const witnesses = keys.map(verifierFor);
        const cosigned = addCosignatures(signed(headAt(to)), answer.body, witnesses) ?? '';
        const opened = openCheckpoint(cosigned, { origin, log: [log.verifier], witnesses });
        expect(opened).toMatchObject({ ok: true, witnesses: keys.map(({ verifierKey }) => verifierKey.name) });
        state = new Map([[origin, answer.signed.head]]);
      }
      from = to;
    }
  });

  test('does not know a log', async () => {
    const body = (await requestFor(0, 6)).replace(
      signed(headAt(6)),
      signed(headAt(6), log.signer, 'other.example/audit'),
    );
    expect(considerCheckpoint(stateAt(3), body, witness)).toEqual({ status: 404, body: '' });
  });

  test('refuses another key, and a changed checkpoint', async () => {
    const [body, note] = [await requestFor(3, 6), signed(headAt(6))];
    const stranger = signed(headAt(6), logKey(origin, 'other').signer);
    expect(considerCheckpoint(stateAt(3), body.replace(note, stranger), witness).status).toBe(403);
    expect(considerCheckpoint(stateAt(3), body.replace('\n6\n', '\n7\n'), witness).status).toBe(403);
  });

  test('answers with its size when asked from another', async () => {
    const conflict = { status: 409, body: '5\n', contentType: 'text/x.tlog.size' };
    for (const from of [0, 3, 6])
      expect(considerCheckpoint(stateAt(5), await requestFor(from, 8), witness)).toEqual(conflict);
    expect(considerCheckpoint(new Map(), await requestFor(3, 8), witness)).toMatchObject({ status: 409, body: '0\n' });
  });

  test('refuses a proof that is false, cut or superfluous', async () => {
    const { proof } = parseAddCheckpoint(await requestFor(3, 8)) ?? expect.unreachable();
    const checkpoint = signed(headAt(8));
    for (const bad of [[], proof.slice(1), proof.toReversed(), [...proof, leafHash('x')]]) {
      const body = formatAddCheckpoint({ oldSize: 3, proof: bad, checkpoint });
      expect(considerCheckpoint(stateAt(3), body, witness)).toEqual({ status: 422, body: '' });
    }
    const first = formatAddCheckpoint({ oldSize: 0, proof, checkpoint });
    expect(considerCheckpoint(new Map(), first, witness).status).toBe(422);
    const same = formatAddCheckpoint({ oldSize: 8, proof, checkpoint });
    expect(considerCheckpoint(stateAt(8), same, witness).status).toBe(422);
  });

  test('refuses a log that was rewritten and signed with the real key', async () => {
    const rewritten = leaves.with(2, leafHash('rewritten'));
    const state = stateAt(5);
    for (const [size, status] of [
      [5, 409],
      [6, 422],
      [8, 422],
      [600, 422],
    ] as const) {
      const proof = await consistencyProof(readerOf(rewritten), 5, size);
      const body = formatAddCheckpoint({ oldSize: 5, proof, checkpoint: signed(headAt(size, rewritten)) });
      expect(considerCheckpoint(state, body, witness).status, String(size)).toBe(status);
    }
    // A log that was cut and grown anew cannot begin at the size that the witness knows.
    const cut = formatAddCheckpoint({ oldSize: 5, proof: [], checkpoint: signed(headAt(4)) });
    expect(considerCheckpoint(state, cut, witness).status).toBe(400);
    const smaller = formatAddCheckpoint({ oldSize: 4, proof: [], checkpoint: signed(headAt(4)) });
    expect(considerCheckpoint(state, smaller, witness)).toMatchObject({ status: 409, body: '5\n' });
  });
});

test('an answer of a witness is added once, and only if its key is known and its line true', async () => {
  const answer = considerCheckpoint(stateAt(3), await requestFor(3, 6), witness).body;
  const note = signed(headAt(6));
  const known = verifierFor(witnessKey);
  const cosigned = addCosignatures(note, answer, [known]) ?? expect.unreachable();
  expect(cosigned.split('\n').length - note.split('\n').length).toBe(1);
  expect(addCosignatures(cosigned, answer, [known])).toBeUndefined();
  expect(
    addCosignatures(note, answer, [verifierFor(keyFor('witness.example/w', 'ed25519-cosignature', 'other'))]),
  ).toBeUndefined();
  expect(addCosignatures(signed(headAt(7)), answer, [known])).toBeUndefined();
  expect(addCosignatures(note, '', [known])).toBeUndefined();
  expect(addCosignatures('', answer, [known])).toBeUndefined();
});
