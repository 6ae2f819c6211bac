/** An export of a log as a file: lines of JSON, checked with public keys only. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GrantryError, invalidRequest } from '../base/errors.ts';
import { cosignatureVerifier } from './cosignature.ts';
import { noteVerifier, parseVerifierKey } from './keys.ts';
import { hashBytes, splitHashes } from './merkle.ts';
import type { NoteVerifier } from './note.ts';
import { type LogKeys, type LogPart, type LogReport, verifyLog } from './stream.ts';

/** The form of the file. */
export const exportForm = 'grantry-audit-1';

/** The number of an entry, from its canonical text, whose members stand in alphabetical order. */
export function seqOfText(entry: string): number | undefined {
  // Within a text of the entry the quotes would have backslashes before them.
  const [, digits] = /,"seq":(\d{1,15}),"source":/.exec(entry) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** The hash by which an entry names its details. The salt keeps short details from being guessed. */
export function detailsHash(salted: string): Uint8Array {
  return createHash('sha256').update(salted, 'utf8').digest();
}

/** Reads public keys. Those of a kind that this Node.js lacks are left out. @throws {GrantryError} `invalid_request` */
export function readVerifiers(texts: readonly string[]): LogKeys[] {
  const names = new Map<string, NoteVerifier[]>();
  for (const text of texts) {
    const key = parseVerifierKey(text.trim());
    if (key === undefined) throw new GrantryError('invalid_request', 'A public key of the audit log is not valid.');
    const made = key.type === 'ed25519' ? { ok: true as const, value: noteVerifier(key) } : cosignatureVerifier(key);
    const list = names.get(key.name) ?? [];
    if (made.ok) list.push(made.value);
    names.set(key.name, list);
  }
  return [...names].map(([name, verifiers]) => ({ name, verifiers }));
}

const headLine = z.object({
  log: z.literal(exportForm),
  origin: z.string(),
  size: z.int().min(0),
  verifiers: z.array(z.string()),
});
const hashesLine = z.object({ hashes: z.string() });
const checkpointLine = z.object({ checkpoint: z.string(), size: z.int().min(0) });

/** The report on an export. `hasOwnKeys` is true if it was checked with the keys that it names itself. */
export interface ExportReport extends LogReport {
  readonly origin: string;
  readonly size: number;
  readonly hasOwnKeys: boolean;
}

/**
 * Checks an export with public keys only.
 *
 * @param verifiers Public keys that the caller kept elsewhere. Without them the export's own are taken, and a forger of the
 * file could have made them too
 * @throws {GrantryError} `invalid_request` for a file of another form
 */
export async function verifyExport(
  lines: AsyncIterable<string>,
  options: {
    readonly verifiers?: readonly string[] | undefined;
    readonly onProgress?: ((entries: number, of: number) => void) | undefined;
  } = {},
): Promise<ExportReport> {
  const iterator = lines[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = headLine.safeParse(first.done === true ? null : parsed(first.value, 1));
  if (!head.success)
    throw invalidRequest('The file is no export of an audit log.', { action: 'Make one: grantry audit export' });
  const { origin, size } = head.data;
  const keys = readVerifiers(options.verifiers ?? head.data.verifiers);
  const onProgress = (entries: number): void => options.onProgress?.(entries, size);
  const rest = { [Symbol.asyncIterator]: () => iterator };
  const report = await verifyLog(partsOf(rest), { keys, size, seqOf: seqOfText, onProgress });
  return { ...report, origin, size, hasOwnKeys: options.verifiers === undefined };
}

const entriesAtOnce = 512;

async function* partsOf(lines: AsyncIterable<string>): AsyncGenerator<LogPart> {
  let entries: string[] = [];
  let number = 1;
  for await (const line of lines) {
    number += 1;
    if (line === '') continue;
    if (line.startsWith('{"entry":')) {
      entries.push(entryIn(line, number));
      if (entries.length < entriesAtOnce) continue;
    }
    if (entries.length > 0) yield { kind: 'entries', entries };
    entries = [];
    if (line.startsWith('{"hashes":')) yield { kind: 'hashes', hashes: hashesIn(line, number) };
    else if (line.startsWith('{"checkpoint":')) yield checkpointIn(line, number);
    else if (!line.startsWith('{"entry":')) throw notALine(number);
  }
  if (entries.length > 0) yield { kind: 'entries', entries };
}

/** Returns the canonical text of an entry. Details that do not fit its hash make it another text, which is found. */
function entryIn(line: string, number: number): string {
  const border = line.lastIndexOf('},"details":"');
  if (border < 0) return line.slice('{"entry":'.length, -1);
  const entry = line.slice('{"entry":'.length, border + 1);
  const salted = parsed(line.slice(border + '},"details":'.length, -1), number);
  const hash = Buffer.from(detailsHash(String(salted))).toString('base64url');
  return entry.includes(`"details_hash":"${hash}"`) ? entry : `${entry} with other details`;
}

function hashesIn(line: string, number: number) {
  const { success, data } = hashesLine.safeParse(parsed(line, number));
  const bytes = success ? Buffer.from(data.hashes, 'base64') : undefined;
  const hashes = bytes === undefined || bytes.length % hashBytes > 0 ? undefined : splitHashes(new Uint8Array(bytes));
  if (hashes === undefined) throw notALine(number);
  return hashes;
}

function checkpointIn(line: string, number: number): LogPart {
  const { success, data } = checkpointLine.safeParse(parsed(line, number));
  if (!success) throw notALine(number);
  return { kind: 'checkpoint', size: data.size, note: data.checkpoint };
}

function parsed(text: string, number: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notALine(number);
  }
}

function notALine(number: number) {
  return invalidRequest(`Line ${number} of the file is no line of an audit log.`);
}
