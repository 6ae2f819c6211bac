import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The newest event of a vault that this home knows of. */
export interface SeenMark {
  readonly epoch: number;
  readonly seq: number;
  /** PostgreSQL's timeline when that was. */
  readonly timeline: number | null;
}

/**
 * What this home has seen of each vault, kept outside of any database: a database that knows less than its home does is
 * an older copy of itself.
 */
export class SeenMarks {
  readonly #path: string;

  constructor(home: string) {
    this.#path = join(home, 'seen.json');
  }

  /** The mark of a vault; undefined when this home has not seen it yet, or its file cannot be read. */
  read(vaultId: string): SeenMark | undefined {
    return this.#all()[vaultId];
  }

  /** Moves a vault's mark forward; `reset` takes it as given, after an adoption or a failover. Atomic; the newest wins. */
  write(vaultId: string, mark: SeenMark, options: { reset?: boolean } = {}): void {
    const all = this.#all();
    const known = all[vaultId];
    const ahead =
      known !== undefined && (known.epoch > mark.epoch || (known.epoch === mark.epoch && known.seq >= mark.seq));
    if (ahead && options.reset !== true) return;
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const temporary = `${this.#path}.${process.pid}.tmp`;
    writeFileSync(temporary, JSON.stringify({ vaults: { ...all, [vaultId]: mark } }), { mode: 0o600 });
    renameSync(temporary, this.#path);
  }

  #all(): Record<string, SeenMark> {
    try {
      return readMarks(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch {
      // No home yet, or a file that says nothing: an empty home joins, by design.
      return {};
    }
  }
}

/** Checked by hand: every start of every program reads this file, and a schema library would double the time of a start. */
function readMarks(json: unknown): Record<string, SeenMark> {
  const vaults: unknown = typeof json === 'object' && json !== null && 'vaults' in json ? json.vaults : undefined;
  if (typeof vaults !== 'object' || vaults === null) return {};
  const marks: [string, SeenMark][] = [];
  for (const vaultId of Object.keys(vaults)) {
    const mark: unknown = Reflect.get(vaults, vaultId);
    if (typeof mark !== 'object' || mark === null) continue;
    const { epoch, seq, timeline }: { epoch?: unknown; seq?: unknown; timeline?: unknown } = mark;
    if (typeof epoch !== 'number' || typeof seq !== 'number') continue;
    marks.push([vaultId, { epoch, seq, timeline: typeof timeline === 'number' ? timeline : null }]);
  }
  return Object.fromEntries(marks);
}
