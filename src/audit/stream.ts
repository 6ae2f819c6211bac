/** A log as it is copied: entries in order, with the stored hashes before them and the checkpoints after them. */
import { openCheckpoint } from './checkpoint.ts';
import type { Hash } from './merkle.ts';
import type { NoteVerifier } from './note.ts';
import { createVerifier, type Finding } from './verify.ts';

/** A part of a log. Hashes stand before their entries; a checkpoint stands right after the last entry that it covers. */
export type LogPart =
  | { readonly kind: 'hashes'; readonly hashes: readonly Hash[] }
  | { readonly kind: 'entries'; readonly entries: readonly string[] }
  | { readonly kind: 'checkpoint'; readonly size: number; readonly note: string };

/** The public keys of one log. A log that goes on after a restore has another name. */
export interface LogKeys {
  readonly name: string;
  readonly verifiers: readonly NoteVerifier[];
}

/** The result of a check. */
export interface LogReport {
  readonly entries: number;
  /** Checkpoints whose signature and root were checked. */
  readonly checkpoints: number;
  /** Entries after the newest good checkpoint, which nothing has signed yet. */
  readonly unsigned: number;
  /** The first thing that is not as it was signed. */
  readonly finding: LogFinding | null;
}

/** A bad entry, or a checkpoint that no given key signed. */
export type LogFinding = Finding | { readonly kind: 'bad_checkpoint'; readonly seq: number; readonly why: string };

const entriesOfProgress = 50_000;

/** Checks a log part by part, in constant memory. Stops at the first bad checkpoint. */
export async function verifyLog(
  parts: AsyncIterable<LogPart>,
  options: {
    readonly keys: readonly LogKeys[];
    readonly size: number;
    readonly seqOf: (entry: string) => number | undefined;
    readonly onProgress?: ((entries: number) => void) | undefined;
  },
): Promise<LogReport> {
  const verifier = createVerifier({ seqOf: options.seqOf, size: options.size });
  let [entries, checkpoints, signed, told] = [0, 0, 0, 0];
  for await (const part of parts) {
    if (part.kind === 'hashes') verifier.feedHashes(part.hashes);
    else if (part.kind === 'entries') {
      verifier.feed(part.entries);
      entries += part.entries.length;
      if (entries - told < entriesOfProgress) continue;
      told = entries;
      options.onProgress?.(entries);
    } else {
      const opened = openWith(options.keys, part.note);
      if (!opened.ok) return { entries, checkpoints, unsigned: 0, finding: badCheckpoint(part.size, opened.why) };
      const verdict = verifier.check(opened.checkpoint);
      if (!verdict.ok) return { entries, checkpoints, unsigned: 0, finding: verdict.finding };
      checkpoints += 1;
      signed = opened.checkpoint.size;
    }
  }
  return { entries, checkpoints, unsigned: entries - signed, finding: null };
}

function openWith(keys: readonly LogKeys[], note: string) {
  const origin = note.split('\n', 1)[0] ?? '';
  const known = keys.find(({ name }) => name === origin);
  if (known === undefined) return { ok: false as const, why: 'no key is known for its name' };
  return openCheckpoint(note, { origin, log: known.verifiers });
}

function badCheckpoint(size: number, why: string): LogFinding {
  return { kind: 'bad_checkpoint', seq: size, why };
}
