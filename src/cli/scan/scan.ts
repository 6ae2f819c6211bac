import { hash } from 'node:crypto';
import type { AllowList } from './allow-list.ts';
import type { Linter } from './linter.ts';
import { linesIn, type Piece, piecesOf } from './pieces.ts';
import type { Source } from './sources.ts';

/** A secret that was found; the secret itself stays where it is. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  /** The hash of rule and secret: the same secret has the same hash in every file. */
  readonly sha256: string;
  /** The object of git that has it, in a scan of the index or the history. */
  readonly blob?: string;
}

export interface ScanResult {
  readonly findings: readonly Finding[];
  readonly allowed: readonly Finding[];
  readonly files: number;
  /** Files without text. */
  readonly passedOver: number;
}

/** Scans one source after the other, so that memory holds one piece of one file. */
export async function scanAll(
  sources: AsyncIterable<Source>,
  { lint, allowList, count }: { lint: Linter; allowList: AllowList; count: () => void },
): Promise<ScanResult> {
  const findings = new Map<string, Finding>();
  const allowed = new Map<string, Finding>();
  let files = 0;
  let passedOver = 0;
  for await (const source of sources) {
    let pieces = 0;
    for await (const piece of piecesOf(source.read())) {
      pieces += 1;
      for (const finding of await findIn(source, piece, lint)) {
        const found = allowList.allows(finding) ? allowed : findings;
        // The versions of a file in the history repeat a secret: it is told once, with its first place.
        const key = source.blob === undefined ? JSON.stringify(finding) : `${finding.sha256} ${finding.file}`;
        if (!found.has(key)) found.set(key, finding);
      }
    }
    files += pieces > 0 ? 1 : 0;
    passedOver += pieces > 0 ? 0 : 1;
    count();
  }
  return { findings: [...findings.values()], allowed: [...allowed.values()], files, passedOver };
}

async function findIn({ file, blob }: Source, piece: Piece, lint: Linter): Promise<readonly Finding[]> {
  const hits = await lint(piece.text, file);
  return hits
    .filter(({ start }) => start < piece.ownEnd)
    .map(({ rule, start, end }) => ({
      file,
      line: piece.linesBefore + linesIn(piece.text, start) + 1,
      rule,
      sha256: hash('sha256', `${rule}\0${piece.text.slice(start, end)}`, 'hex'),
      ...(blob === undefined ? {} : { blob }),
    }));
}
