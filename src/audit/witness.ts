/** The call `add-checkpoint` of C2SP tlog-witness, for a log that asks and for a small witness that decides. */
import { parseCheckpoint } from './checkpoint.ts';
import { cosigner } from './cosignature.ts';
import type { SigningKey } from './keys.ts';
import { type Hash, hashFromBase64, hashToBase64, isTreeSize, rootOfLeaves } from './merkle.ts';
import { formatSignatureLine, type NoteVerifier, openNote, parseNote, signatureOf } from './note.ts';
import { type TreeHead, verifyConsistency } from './proofs.ts';

/** The body of a request. */
export interface AddCheckpoint {
  /** Size of the last checkpoint that the witness signed; 0 if it signed none. */
  readonly oldSize: number;
  /** Consistency proof from `oldSize` on. */
  readonly proof: readonly Hash[];
  /** The new checkpoint as a signed note. */
  readonly checkpoint: string;
}

/** The newest tree that a witness signed of each log. The caller stores it, and changes it in one transaction. */
export type WitnessState = ReadonlyMap<string, TreeHead>;

/** The keys and the time by which a witness decides. */
export interface Witness {
  /** The logs that the witness serves: the keys of each origin. */
  readonly logs: ReadonlyMap<string, readonly NoteVerifier[]>;
  /** The witness's own keys, of types with a time. */
  readonly keys: readonly SigningKey[];
  /** The present time, in whole seconds since 1970. */
  readonly timeSeconds: number;
}

/** An answer. The caller stores `signed` before it sends the body of a 200. */
export type WitnessAnswer =
  | {
      readonly status: 200;
      readonly body: string;
      readonly signed: { readonly origin: string; readonly head: TreeHead };
    }
  | { readonly status: 409; readonly body: string; readonly contentType: 'text/x.tlog.size' }
  | { readonly status: 400 | 403 | 404 | 422; readonly body: '' };

/** A proof covers 63 levels at most (tlog-witness, "add-checkpoint"). */
const proofLinesMax = 63;

/** Writes the body of a request: old size, proof, an empty line, checkpoint. */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  return [`old ${oldSize}`, ...proof.map(hashToBase64), '', checkpoint].join('\n');
}

/** Reads the body of a request. Returns `undefined` for any other text. The checkpoint is not read yet. */
export function parseAddCheckpoint(body: string): AddCheckpoint | undefined {
  const border = body.indexOf('\n\n');
  if (border < 0) return undefined;
  const [first = '', ...lines] = body.slice(0, border).split('\n');
  const [, digits] = /^old (0|[1-9]\d{0,15})$/.exec(first) ?? [];
  const oldSize = digits === undefined ? Number.NaN : Number(digits);
  const proof = lines.map(hashFromBase64).filter((hash) => hash !== undefined);
  if (!isTreeSize(oldSize) || proof.length < lines.length || lines.length > proofLinesMax) return undefined;
  return { oldSize, proof, checkpoint: body.slice(border + 2) };
}

/**
 * Decides on a request, in the order of tlog-witness:
 *
 * - 400 for a malformed body, 404 for an unknown log, 403 without a true signature of the log
 * - 400 for an old size above the new one, 409 for an old size that is not the last
 * - 409 for another root of the same size, 422 for a proof that does not hold
 *
 * A rewritten log is refused although it is signed with the real key: no proof leads to it.
 */
export function considerCheckpoint(state: WitnessState, body: string, witness: Witness): WitnessAnswer {
  const request = parseAddCheckpoint(body);
  const note = request === undefined ? undefined : parseNote(request.checkpoint);
  const checkpoint = note === undefined ? undefined : parseCheckpoint(note.text);
  if (request === undefined || note === undefined || checkpoint === undefined) return refusal(400);
  const { origin, size, root } = checkpoint;
  const logKeys = witness.logs.get(origin);
  if (logKeys === undefined) return refusal(404);
  if (!openNote(request.checkpoint, logKeys).ok) return refusal(403);
  if (request.oldSize > size) return refusal(400);
  const last = state.get(origin) ?? { size: 0, root: rootOfLeaves([]) };
  if (request.oldSize !== last.size) return conflict(last);
  const head: TreeHead = { size, root };
  if (!verifyConsistency(last, head, request.proof)) {
    return size === last.size && request.proof.length === 0 ? conflict(last) : refusal(422);
  }
  const lines = witness.keys.map((key) => signatureOf(cosigner(key, witness.timeSeconds), note.text));
  return { status: 200, body: lines.map(formatSignatureLine).join(''), signed: { origin, head } };
}

/**
 * Adds the lines of a witness's answer to a checkpoint, if they are signatures of the named keys. Lines of other keys, and
 * lines that the checkpoint has, are left out. Returns `undefined` if a named key's line is false, or none is new.
 */
export function addCosignatures(
  checkpoint: string,
  answer: string,
  witnesses: readonly NoteVerifier[],
): string | undefined {
  const text = parseNote(checkpoint)?.text;
  const opened = text === undefined ? undefined : openNote(`${text}\n${answer}`, witnesses);
  if (opened?.ok !== true) return undefined;
  const lines = opened.verified.map(formatSignatureLine).filter((line) => !checkpoint.includes(`\n${line}`));
  const cosigned = checkpoint + lines.join('');
  return lines.length > 0 && parseNote(cosigned) !== undefined ? cosigned : undefined;
}

function refusal(status: 400 | 403 | 404 | 422): WitnessAnswer {
  return { status, body: '' };
}

function conflict({ size }: TreeHead): WitnessAnswer {
  return { status: 409, body: `${size}\n`, contentType: 'text/x.tlog.size' };
}
