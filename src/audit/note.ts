/**
 * Signed notes (C2SP signed-note, v1.0.0): a text, an empty line, and lines of signatures. This file reads and writes the
 * form. `keys.ts` has the signatures of notes, `cosignature.ts` those of checkpoints.
 */

/** The first four bytes of a hash of name, type and public key. It finds a key, and proves nothing. */
export type KeyId = number;

/** A line below a note. */
export interface SignatureLine {
  readonly name: string;
  readonly keyId: KeyId;
  /** The bytes after the key id. */
  readonly signature: Uint8Array;
}

/** A text with its signatures. No signature has been checked. */
export interface Note {
  /** The signed text, with the newline at its end. */
  readonly text: string;
  readonly signatures: readonly SignatureLine[];
}

/** Signs the text of a note under one key. */
export interface NoteSigner {
  readonly name: string;
  readonly keyId: KeyId;
  sign(text: string): Uint8Array;
}

/** Checks the signatures of one key. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: KeyId;
  verify(text: string, signature: Uint8Array): boolean;
}

/** A note of which a known key signed the text, or the reason why there is none. */
export type OpenedNote =
  | {
      readonly ok: true;
      readonly text: string;
      /** One line for each known key that signed: its first. */
      readonly verified: readonly SignatureLine[];
      /** The lines of keys that the caller did not name, as they came. */
      readonly foreign: readonly SignatureLine[];
    }
  | { readonly ok: false; readonly why: NoteFault };

/** `malformed`: no note. `bad_signature`: a known key's line is false. `unsigned`: no known key signed. */
export type NoteFault = 'malformed' | 'bad_signature' | 'unsigned';

/** The specification asks verifiers to accept 16 and to have a limit. */
const signaturesMax = 64;
const noteCharsMax = 1_000_000;

const linePattern = /^\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/;

/** True for a key's name: not empty, no space of Unicode, no plus sign (signed-note, "Format"). */
export function isKeyName(name: string): boolean {
  // Next-line is a space in Unicode, and none in a regular expression.
  return /^[^\s\u0085+]+$/.test(name) && name.isWellFormed() && !hasControl(name);
}

/** Reads a note without checking its signatures. Returns `undefined` if it is malformed: cut, not UTF-8, without signatures. */
export function parseNote(source: string | Uint8Array): Note | undefined {
  const whole = typeof source === 'string' ? source : decoded(source);
  if (whole === undefined || whole.length > noteCharsMax || !whole.isWellFormed() || hasControl(whole))
    return undefined;
  // The last empty line is the border, so the text itself may hold empty lines.
  const border = whole.lastIndexOf('\n\n');
  if (border < 0 || !whole.endsWith('\n')) return undefined;
  const lines = whole.slice(border + 2, -1).split('\n');
  const signatures = lines.map(parseSignatureLine).filter((line) => line !== undefined);
  if (signatures.length < lines.length || lines.length > signaturesMax) return undefined;
  return { text: whole.slice(0, border + 1), signatures };
}

/** Reads one line of a signature, without its newline. */
export function parseSignatureLine(line: string): SignatureLine | undefined {
  const [, name = '', encoded = ''] = linePattern.exec(line) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  // Only one spelling of the same bytes is a signature, so that no line can be doubled unseen.
  if (!isKeyName(name) || bytes.length < 5 || bytes.toString('base64') !== encoded) return undefined;
  return { name, keyId: bytes.readUInt32BE(), signature: Uint8Array.from(bytes.subarray(4)) };
}

/** Writes one line of a signature, with its newline. */
export function formatSignatureLine({ name, keyId, signature }: SignatureLine): string {
  const id = Buffer.alloc(4);
  id.writeUInt32BE(keyId);
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/** Writes a note. */
export function formatNote({ text, signatures }: Note): string {
  return `${text}\n${signatures.map(formatSignatureLine).join('')}`;
}

/**
 * Signs a text.
 *
 * @throws {RangeError} for a text that does not end in a newline, has a control character, or has no signer
 */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  const signatures = signers.map((signer) => signatureOf(signer, text));
  const note = formatNote({ text, signatures });
  if (parseNote(note)?.text !== text) throw new RangeError('a note cannot hold this text');
  return note;
}

/** Signs a text and returns the line, not yet written below a note. */
export function signatureOf(signer: NoteSigner, text: string): SignatureLine {
  return { name: signer.name, keyId: signer.keyId, signature: signer.sign(text) };
}

/**
 * Checks a note (signed-note, "Signatures"). Lines of other keys are kept and prove nothing. One false line of a known key
 * refuses the note. Further lines of a key that signed already are dropped.
 *
 * @throws {RangeError} if two of the keys have the same name and id
 */
export function openNote(source: string | Uint8Array, keys: readonly NoteVerifier[]): OpenedNote {
  const known = new Map(keys.map((key) => [nameOf(key), key]));
  if (known.size < keys.length) throw new RangeError('two keys have the same name and id');
  const note = parseNote(source);
  if (note === undefined) return { ok: false, why: 'malformed' };
  const verified = new Map<string, SignatureLine>();
  const foreign: SignatureLine[] = [];
  for (const line of note.signatures) {
    const key = known.get(nameOf(line));
    if (key === undefined) foreign.push(line);
    else if (verified.has(nameOf(line))) continue;
    else if (key.verify(note.text, line.signature)) verified.set(nameOf(line), line);
    else return { ok: false, why: 'bad_signature' };
  }
  if (verified.size === 0) return { ok: false, why: 'unsigned' };
  return { ok: true, text: note.text, verified: [...verified.values()], foreign };
}

function nameOf({ name, keyId }: { readonly name: string; readonly keyId: KeyId }): string {
  return `${keyId} ${name}`;
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    // The mark of byte order stays, because it was signed.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function hasControl(text: string): boolean {
  return /[\0-\x09\x0b-\x1f]/.test(text);
}
