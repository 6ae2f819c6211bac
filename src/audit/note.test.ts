import { expect, test } from 'vitest';
import { dice, hasMlDsa, keyFor, logKey, timedTypes, verifierFor } from '../../test/support/audit-log.ts';
import { cosignatureTime, cosignatureVerifier, cosigner } from './cosignature.ts';
import { formatVerifierKey, noteSigner, noteVerifier, parseVerifierKey, signingKey, verifierKey } from './keys.ts';
import { isKeyName, openNote, parseNote, signNote } from './note.ts';

/** The example of Go's package `sumdb/note`, whose format this is. */
const neumannKey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const neumannText =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const neumannNote = `${neumannText}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;
const neumannSeed = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);

const parsed = (text: string) => parseVerifierKey(text) ?? expect.unreachable();
const log = logKey('example.com/log');
const other = logKey('example.com/other');
const text = 'one\n\ntwo\n';

test('opens the published note, and signs it with the published key in the same bytes', () => {
  const opened = openNote(neumannNote, [noteVerifier(parsed(neumannKey))]);
  expect(opened).toMatchObject({ ok: true, text: neumannText, verified: [{ name: 'PeterNeumann' }], foreign: [] });
  const made = signingKey('PeterNeumann', 'ed25519', neumannSeed);
  if (!made.ok) expect.unreachable();
  else expect(signNote(neumannText, [noteSigner(made.value)])).toBe(neumannNote);
  expect(made.ok && formatVerifierKey(made.value.verifierKey)).toBe(neumannKey);
});

test.each(['ed25519' as const, ...timedTypes])('the text of a key of type %s reads back', (type) => {
  const key = keyFor('example.com/k', type).verifierKey;
  expect(parseVerifierKey(formatVerifierKey(key))).toEqual(key);
});

test('a verifier key with another id, type, name or length is refused', () => {
  for (const bad of [
    neumannKey.replace('c74f20a3', 'c74f20a4'),
    neumannKey.replace('c74f20a3', 'C74F20A3'),
    neumannKey.replace('PeterNeumann', 'PeterNeuman'),
    neumannKey.replace('+AR', '+AB'),
    neumannKey.slice(0, -4),
    `${neumannKey}\n`,
    `${neumannKey}=`,
    'PeterNeumann+c74f20a3',
    '',
  ]) {
    expect(parseVerifierKey(bad), bad).toBeUndefined();
  }
  expect(() => verifierKey('a b', 'ed25519', Buffer.alloc(32))).toThrow(RangeError);
  expect(() => verifierKey('a', 'ed25519', Buffer.alloc(31))).toThrow('32 bytes');
  expect(() => signingKey('a', 'ed25519', Buffer.alloc(31))).toThrow('32 bytes');
});

test('a note keeps foreign lines and its empty lines, and drops a second line of one key', () => {
  const note = signNote(text, [log.signer, other.signer, log.signer]);
  expect(parseNote(note)?.signatures).toHaveLength(3);
  const opened = openNote(note, [log.verifier]);
  expect(opened).toMatchObject({
    ok: true,
    text,
    verified: [{ name: 'example.com/log' }],
    foreign: [{ name: 'example.com/other' }],
  });
  expect(openNote(Buffer.from(note), [log.verifier, other.verifier])).toMatchObject({ ok: true, foreign: [] });
});

test('a note without a line of a known key is refused, and one with a false line too', () => {
  const stranger = logKey('example.com/log', 'another seed');
  expect(openNote(signNote(text, [log.signer]), [stranger.verifier])).toEqual({ ok: false, why: 'unsigned' });
  const forged = { ...log.signer, sign: (signed: string) => stranger.signer.sign(signed) };
  expect(openNote(signNote(text, [forged]), [log.verifier])).toEqual({ ok: false, why: 'bad_signature' });
  expect(openNote(signNote(text, [forged, other.signer]), [log.verifier, other.verifier])).toMatchObject({ ok: false });
  const changed = signNote(text, [log.signer]).replace('two', 'twa');
  expect(openNote(changed, [log.verifier])).toEqual({ ok: false, why: 'bad_signature' });
  expect(() => openNote(neumannNote, [log.verifier, log.verifier])).toThrow(RangeError);
});

test('a note that is cut anywhere is refused', () => {
  const note = signNote(text, [log.signer, other.signer]);
  const firstEnds = signNote(text, [log.signer]).length;
  for (let length = 0; length < note.length; length += 1) {
    const opened = openNote(note.slice(0, length), [log.verifier, other.verifier]);
    // Without its last line it is still a note of the first key.
    expect(opened.ok, String(length)).toBe(length === firstEnds);
  }
});

test('texts that are no notes are malformed', () => {
  const line = signNote('a\n', [log.signer]).slice(3);
  for (const bad of [
    '',
    '\n',
    'a\n',
    `a\n${line}`,
    `a\n\n${line}x\n`,
    `a\r\n\n${line}`,
    `a\t\n\n${line}`,
    `a\ud800\n\n${line}`,
    `a\n\n${line.replace('\u2014', '-')}`,
    `a\n\n\u2014 a+b AAAAAAA=\n`,
    `a\n\n\u2014 a AAAAAA==\n`,
    `a\n\n\u2014 a AAAAAAB=\n`,
    `a\n\n${line.repeat(65)}`,
    Buffer.concat([Buffer.from([255]), Buffer.from(`\n\n${line}`)]),
  ]) {
    expect(parseNote(bad), String(bad)).toBeUndefined();
  }
  expect(parseNote(`a\n\n${line.repeat(64)}`)?.signatures).toHaveLength(64);
  for (const bad of ['a', 'a\0\n', 'a\r\n']) expect(() => signNote(bad, [log.signer]), bad).toThrow(RangeError);
  expect(() => signNote('a\n', [])).toThrow(RangeError);
});

test('names have no space, plus or control character', () => {
  for (const name of ['', 'a b', 'a\u00a0b', 'a\u0085b', 'a\u3000b', 'a+b', 'a\0b', 'a\ud800'])
    expect(isKeyName(name), name).toBe(false);
  for (const name of ['a', 'example.com/log', 'ü']) expect(isKeyName(name), name).toBe(true);
});

const seed = 3_011_2026;

test(`no changed bit of a note is accepted (seed ${seed})`, () => {
  const roll = dice(seed);
  const bytes = Buffer.from(signNote(text, [log.signer]));
  for (let turn = 0; turn < 500; turn += 1) {
    const changed = Buffer.from(bytes);
    const place = roll(bytes.length);
    changed[place] = (changed[place] ?? 0) ^ (1 << roll(8));
    expect(openNote(changed, [log.verifier]).ok, `byte ${place} of turn ${turn}`).toBe(false);
  }
});

const head = 'example.com/log\n8\nXcnaeacGWamtVZy3Ad7Zoqudgjqtl0lgz+Nw7v9GBDI=\n';

test.each(timedTypes)('a cosignature of type %s holds for its key, text and time', (type) => {
  const key = keyFor('witness.example/w', type);
  const verifier = verifierFor(key);
  const signature = cosigner(key, 1_764_528_000).sign(head);
  expect(signature).toHaveLength(type === 'ed25519-cosignature' ? 72 : 2428);
  expect(cosignatureTime(signature)).toBe(1_764_528_000);
  expect(verifier.verify(head, signature)).toBe(true);
  expect(verifierFor(keyFor('witness.example/w', type, 'other')).verify(head, signature)).toBe(false);
  expect(verifier.verify(head.replace('\n8\n', '\n9\n'), signature)).toBe(false);
  expect(verifier.verify('no checkpoint\n', signature)).toBe(false);
  const later = Buffer.from(signature);
  later[7] = (later[7] ?? 0) + 1;
  for (const bad of [
    later,
    signature.subarray(0, -1),
    signature.subarray(0, 8),
    Buffer.alloc(0),
    Buffer.alloc(72, 255),
  ]) {
    expect(verifier.verify(head, bad)).toBe(false);
  }
  expect(openNote(signNote(head, [log.signer, cosigner(key, 0)]), [verifier])).toMatchObject({
    ok: true,
    foreign: [{}],
  });
  expect(() => cosigner(key, 1.5)).toThrow(RangeError);
  expect(() => cosigner(key, 1).sign('no checkpoint\n')).toThrow(RangeError);
});

test.skipIf(!hasMlDsa)('an ML-DSA-44 cosignature covers the name of its key, and no extension line', () => {
  const key = keyFor('witness.example/w', 'ml-dsa-44-cosignature');
  const signature = cosigner(key, 0).sign(head);
  const renamed = cosignatureVerifier(
    verifierKey('witness.example/x', 'ml-dsa-44-cosignature', key.verifierKey.publicKey),
  );
  expect(renamed.ok && renamed.value.verify(head, signature)).toBe(false);
  expect(verifierFor(key).verify(`${head}extension\n`, signature)).toBe(true);
});

test('a key of one type does not sign as another', () => {
  const [plain, timed] = [keyFor('a', 'ed25519'), keyFor('a', 'ed25519-cosignature')];
  expect(() => noteSigner(timed)).toThrow(RangeError);
  expect(() => noteVerifier(timed.verifierKey)).toThrow(RangeError);
  expect(() => cosigner(plain, 1)).toThrow(RangeError);
  expect(() => cosignatureVerifier(plain.verifierKey)).toThrow(RangeError);
});

test('a Node.js without ML-DSA-44 says so, and no other key is unavailable', () => {
  const made = signingKey('a', 'ml-dsa-44-cosignature', Buffer.alloc(32, 1));
  const read = cosignatureVerifier(verifierKey('a', 'ml-dsa-44-cosignature', Buffer.alloc(1312, 1)));
  expect([made.ok, read.ok]).toEqual([hasMlDsa, hasMlDsa]);
  if (!hasMlDsa) expect([made, read]).toEqual([made, made].map(() => ({ ok: false, why: 'unavailable' })));
  expect(signingKey('a', 'ed25519', Buffer.alloc(32, 1)).ok).toBe(true);
});
