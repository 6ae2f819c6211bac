/** Checkpoints (C2SP tlog-checkpoint, v1.0.0): signed notes with the name, size and root of a log. */
import { type Hash, hashFromBase64, hashToBase64, isTreeSize } from './merkle.ts';
import { type NoteFault, type NoteSigner, type NoteVerifier, openNote, parseNote, signNote } from './note.ts';

/** The head of a log. */
export interface Checkpoint {
  /** The name of the log, in the whole world one. */
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  readonly root: Hash;
  /** Further lines. No auditor can check them, and ML-DSA-44 cosignatures do not cover them. */
  readonly extensions: readonly string[];
}

/** A checkpoint that the log signed, or the reason why there is none. */
export type OpenedCheckpoint =
  | {
      readonly ok: true;
      readonly checkpoint: Checkpoint;
      /** The witnesses that signed it too, of those that the caller named. */
      readonly witnesses: readonly string[];
    }
  | { readonly ok: false; readonly why: NoteFault | 'other_origin' };

/** The keys and the name by which a checkpoint is opened. */
export interface CheckpointTrust {
  readonly origin: string;
  /** The log's keys, of which one must have signed. */
  readonly log: readonly NoteVerifier[];
  /** Keys of witnesses, of which any number may have signed. */
  readonly witnesses?: readonly NoteVerifier[];
}

/** Writes the text of a checkpoint (tlog-checkpoint, "Note text"), with the newline at its end. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  return [origin, String(size), hashToBase64(root), ...extensions, ''].join('\n');
}

/** Reads the text of a checkpoint. Returns `undefined` for any other text. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  if (!text.endsWith('\n')) return undefined;
  const [origin = '', digits = '', encoded = '', ...extensions] = text.slice(0, -1).split('\n');
  const size = /^(?:0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : Number.NaN;
  const root = hashFromBase64(encoded);
  if (origin === '' || !isTreeSize(size) || root === undefined || extensions.includes('')) return undefined;
  return { origin, size, root, extensions };
}

/**
 * Signs a checkpoint. The caller must never sign two that are inconsistent: this is the promise of a log.
 *
 * @throws {RangeError} for a checkpoint that the format cannot hold, such as an origin of two lines
 */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  const text = formatCheckpoint(checkpoint);
  const read = parseCheckpoint(text);
  if (read?.origin !== checkpoint.origin || read.extensions.length !== checkpoint.extensions.length)
    throw new RangeError('a checkpoint cannot hold this origin, size or extension');
  return signNote(text, signers);
}

/** Checks a signed checkpoint: its form, its origin, one signature of the log, and those of the named witnesses. */
export function openCheckpoint(source: string | Uint8Array, trust: CheckpointTrust): OpenedCheckpoint {
  const note = parseNote(source);
  const checkpoint = note === undefined ? undefined : parseCheckpoint(note.text);
  if (checkpoint === undefined) return { ok: false, why: 'malformed' };
  if (checkpoint.origin !== trust.origin) return { ok: false, why: 'other_origin' };
  const opened = openNote(source, trust.log);
  if (!opened.ok) return opened;
  const { witnesses = [] } = trust;
  const cosigned = openNote(source, witnesses);
  if (!cosigned.ok && cosigned.why !== 'unsigned') return cosigned;
  return { ok: true, checkpoint, witnesses: cosigned.ok ? cosigned.verified.map(({ name }) => name) : [] };
}
