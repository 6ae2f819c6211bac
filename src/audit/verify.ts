/**
 * A verifier of a log that is read entry by entry. It needs constant memory, and names the first entry that is not as it
 * was signed.
 */
import { type FindingKind, kindOf, type Suspect } from './findings.ts';
import { appendLeaves, type CompactRange, emptyRange, type Hash, leafHash, rootOf, sameHash } from './merkle.ts';
import type { TreeHead } from './proofs.ts';

/** The first bad entry. */
export interface Finding {
  readonly kind: FindingKind;
  /** The number that the entry has or should have. With `root`: all entries before this number are as signed. */
  readonly seq: number;
  /** The number that was found in its place, if it is another one. */
  readonly found?: number;
  /** True if the stored hashes have the signed root, so that the first difference from them is the first bad entry. */
  readonly isProven: boolean;
}

/** The result for one signed head. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly finding: Finding };

/** The way in which a verifier reads entries. */
export interface VerifierOptions {
  /** Reads the number of an entry. Returns `undefined` if it has none. */
  readonly seqOf: (entry: string) => number | undefined;
  /** Number of the first entry. Default: 0. */
  readonly firstSeq?: number;
  /** Number of entries that were signed, if it is known before they are read. It makes `isProven` sure for extra entries. */
  readonly size?: number;
}

/** Reads a log in order. */
export interface Verifier {
  /** Takes stored hashes of leaves (tiles of level 0), in order. Give those of an entry before the entry. */
  feedHashes(hashes: readonly Hash[]): void;
  /** Takes entries as their canonical texts, in order. */
  feed(entries: readonly string[]): void;
  /** Compares with a signed head. An older head, checked when its last entry was fed, narrows a finding of kind `root`. */
  check(head: TreeHead): Verdict;
}

interface State {
  readonly firstSeq: number;
  readonly sizeMax: number;
  readonly seqOf: VerifierOptions['seqOf'];
  /** The tree of the entries. */
  range: CompactRange;
  entries: number;
  /** Stored hashes that wait for their entries, and the position of the first of them. */
  stored: Hash[];
  storedFrom: number;
  /** Size of the newest tree whose signed root was equal. */
  goodSize: number;
  suspect: (Suspect & { readonly leaf: Hash }) | undefined;
  /** The tree of the entries before the suspect and of the stored hashes from it on. */
  storedRange: CompactRange;
}

/** Creates a verifier. */
export function createVerifier({ seqOf, firstSeq = 0, size = Number.MAX_SAFE_INTEGER }: VerifierOptions): Verifier {
  const state: State = {
    firstSeq,
    sizeMax: size,
    seqOf,
    range: emptyRange,
    entries: 0,
    stored: [],
    storedFrom: 0,
    goodSize: 0,
    suspect: undefined,
    storedRange: emptyRange,
  };
  return {
    feedHashes: (hashes) => {
      for (const hash of hashes) state.stored.push(hash);
      if (state.suspect !== undefined) takeStored(state);
    },
    feed: (entries) => feed(state, entries),
    check: (head) => check(state, head),
  };
}

function feed(state: State, entries: readonly string[]): void {
  const leaves: Hash[] = [];
  for (const entry of entries) {
    const leaf = leafHash(entry);
    const position = state.entries;
    const seq = state.seqOf(entry);
    const number = seq === undefined ? undefined : seq - state.firstSeq;
    if (state.suspect !== undefined) lookFurther(state, position, number);
    else if (number !== position || !isAsStored(state, position, leaf)) {
      state.suspect = { position, number, next: [], isMoved: false, leaf };
      state.storedRange = appendLeaves(state.range, leaves.slice(0, state.sizeMax - state.range.size));
    }
    if (position < state.sizeMax) leaves.push(leaf);
    state.entries += 1;
  }
  state.range = appendLeaves(state.range, leaves);
  takeStored(state);
}

function isAsStored(state: State, position: number, leaf: Hash): boolean {
  const stored = state.stored[position - state.storedFrom];
  return stored === undefined || sameHash(stored, leaf);
}

/** Collects the facts that give the suspect its name. */
function lookFurther(state: State, position: number, number: number | undefined): void {
  const { suspect } = state;
  if (suspect === undefined) return;
  const isExchange = position === suspect.number && number === suspect.position;
  if (isExchange) state.suspect = { ...suspect, isMoved: true };
  if (suspect.next.length < 2) state.suspect = { ...(state.suspect ?? suspect), next: [...suspect.next, number] };
}

/** Forgets stored hashes whose entries were met; from the suspect on, builds their tree. */
function takeStored(state: State): void {
  const { suspect, stored, storedFrom } = state;
  if (suspect === undefined) {
    const met = Math.min(stored.length, state.entries - storedFrom);
    state.stored = stored.slice(met);
    state.storedFrom += met;
    return;
  }
  const rest = stored.slice(Math.max(0, suspect.position - storedFrom));
  const belongs = rest[(suspect.number ?? -1) - Math.max(suspect.position, storedFrom)];
  if (belongs !== undefined && sameHash(belongs, suspect.leaf)) state.suspect = { ...suspect, isMoved: true };
  const room = state.sizeMax - state.storedRange.size;
  state.storedRange = appendLeaves(state.storedRange, rest.slice(0, room));
  state.stored = [];
  state.storedFrom += stored.length;
}

function check(state: State, head: TreeHead): Verdict {
  const { suspect, entries, range, firstSeq } = state;
  const isSigned = hasSignedRoot(range, head);
  const isProven = hasSignedRoot(storedTree(state), head);
  const finding = (kind: FindingKind, position: number, number?: number): Verdict => {
    const found = number === undefined || number === position ? {} : { found: number + firstSeq };
    return { ok: false, finding: { kind, seq: position + firstSeq, ...found, isProven } };
  };
  if (suspect !== undefined && suspect.position < head.size) {
    const kind = kindOf(suspect, entries, head.size);
    return finding(kind === 'edited' && isSigned ? 'stored_hash' : kind, suspect.position, suspect.number);
  }
  if (entries > head.size) return finding('inserted', head.size);
  if (entries < head.size) return finding('tail_cut', entries);
  if (!isSigned) return finding('root', state.goodSize);
  state.goodSize = head.size;
  return { ok: true };
}

/** The tree of the stored hashes. Before a suspect is met they equal the entries, as far as both reach. */
function storedTree({ suspect, range, stored, storedFrom, sizeMax, storedRange }: State): CompactRange {
  if (suspect !== undefined) return storedRange;
  return storedFrom === range.size ? appendLeaves(range, stored.slice(0, sizeMax - range.size)) : range;
}

function hasSignedRoot(range: CompactRange, head: TreeHead): boolean {
  return range.size === head.size && sameHash(rootOf(range), head.root);
}
