/** Go's packages `sumdb/tlog` and `sumdb/note` as a second opinion on roots, proofs, tiles, notes and cosignatures. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { dice, entryText, keyFor, logKey, readerOf } from '../../test/support/audit-log.ts';
import { openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { cosigner } from './cosignature.ts';
import { formatVerifierKey, noteVerifier, parseVerifierKey } from './keys.ts';
import { appendLeaf, emptyRange, hashToBase64, leafHash, rootOf } from './merkle.ts';
import { consistencyProof, inclusionProof } from './proofs.ts';
import { completedTiles, partialTiles, tilePath } from './tiles.ts';

const goPath = '/usr/share/gocode';
const hasGo = existsSync(`${goPath}/src/golang.org/x/mod/sumdb/tlog`) && isRunning('go');
const word = hasGo ? '' : ' (skipped: it needs the Debian packages golang-go and golang-golang-x-mod-dev)';

const lists = z.array(z.array(z.string()));
const answerSchema = z.object({
  roots: z.array(z.string()),
  inclusions: lists,
  consistences: lists,
  growths: lists,
  noteText: z.string(),
  signers: z.array(z.string()),
  foreign: z.array(z.string()),
  signedNote: z.string(),
  signedBy: z.string(),
  cosigned: z.boolean(),
});

const seed = 20_261_202;
const size = 1500;

describe.skipIf(!hasGo)(`Go agrees${word} (seed ${seed})`, async () => {
  const roll = dice(seed);
  const pairs = Array.from({ length: 300 }, () => {
    const to = 1 + roll(size);
    return [roll(to), to] as const;
  });
  const consistences = [...pairs.filter(([from]) => from > 0), [256, 512] as const, [size, size] as const];
  const growths = [
    [0, 1],
    [0, 256],
    [255, 257],
    [300, 700],
    [0, 70_000],
    [65_535, 65_536],
    [1, 200_000],
  ] as const;
  const entries = Array.from({ length: size }, (_, seq) => entryText(seq, { note: 'ü\n"' }));
  const leaves = entries.map((entry) => leafHash(entry));
  const roots = leaves.reduce(
    ({ range, all }, leaf) => {
      const grown = appendLeaf(range, leaf);
      return { range: grown, all: [...all, hashToBase64(rootOf(grown))] };
    },
    { range: emptyRange, all: [] as string[] },
  );
  const read = readerOf(leaves);
  const [log, second] = [logKey('vault.example/audit'), logKey('second.example/key')];
  const witness = keyFor('witness.example/w', 'ed25519-cosignature');
  const checkpoint = { origin: 'vault.example/audit', size, root: rootOf(roots.range), extensions: [] };
  const note = signCheckpoint(checkpoint, [log.signer, second.signer, cosigner(witness, 1_764_528_000)]);
  const text = note.slice(0, note.indexOf('\n\n') + 1);
  const signText = text.replace('vault.example/audit', 'go.example/log');

  const question = {
    entries,
    inclusions: pairs,
    consistences,
    growths,
    note,
    keys: [log, second].map(({ key }) => formatVerifierKey(key.verifierKey)),
    signText,
    witnessKey: Buffer.from(witness.verifierKey.publicKey).toString('base64'),
    cosignature: Buffer.from(cosigner(witness, 1_764_528_000).sign(text)).toString('base64'),
  };
  const answer = hasGo ? ask(question) : undefined;

  test('on the roots of all sizes', () => {
    expect(answer?.roots).toEqual(roots.all);
  });

  test('on inclusion proofs', async () => {
    const proofs = await Promise.all(pairs.map(([index, to]) => inclusionProof(read, index, to)));
    expect(answer?.inclusions).toEqual(proofs.map((proof) => proof.map(hashToBase64)));
  });

  test('on consistency proofs', async () => {
    const proofs = await Promise.all(consistences.map(([from, to]) => consistencyProof(read, from, to)));
    expect(answer?.consistences).toEqual(proofs.map((proof) => proof.map(hashToBase64)));
  });

  test('on the tiles of a log that grew', () => {
    for (const [index, [from, to]] of growths.entries()) {
      // Go lists the partial tiles of the sizes between as well, and none that the old log had.
      const theirs = answer?.growths[index] ?? [];
      const complete = completedTiles(from, to).map(tilePath);
      expect(theirs.filter((tile) => !tile.includes('.p/')).toSorted()).toEqual(complete.toSorted());
      const had = partialTiles(from).map(tilePath);
      const partial = partialTiles(to).map(tilePath);
      expect(theirs).toEqual(expect.arrayContaining(partial.filter((tile) => !had.includes(tile))));
    }
  });

  test('on a signed checkpoint, whose line of a witness it keeps', () => {
    expect(answer).toMatchObject({ noteText: text, foreign: ['witness.example/w'] });
    expect(answer?.signers).toEqual(['vault.example/audit', 'second.example/key']);
  });

  test('on the bytes of a cosignature with Ed25519', () => {
    expect(answer?.cosigned).toBe(true);
  });

  test('and its own checkpoint opens here', () => {
    const key = parseVerifierKey(answer?.signedBy ?? '') ?? expect.unreachable();
    const trust = { origin: 'go.example/log', log: [noteVerifier(key)] };
    expect(openCheckpoint(answer?.signedNote ?? '', trust)).toMatchObject({ ok: true, checkpoint: { size } });
  });
});

function isRunning(command: string): boolean {
  try {
    execFileSync(command, ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function ask(question: unknown): z.infer<typeof answerSchema> {
  const program = path.resolve(import.meta.dirname, '../../test/support/audit-peer.go');
  const cache = mkdtempSync(path.join(tmpdir(), 'grantry-go-'));
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: goPath, GOCACHE: cache, GOFLAGS: '' };
  const options = { env, input: JSON.stringify(question), encoding: 'utf8', maxBuffer: 2 ** 26 } as const;
  return answerSchema.parse(JSON.parse(execFileSync('go', ['run', program], options)));
}
