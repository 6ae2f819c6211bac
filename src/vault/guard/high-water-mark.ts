import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The newest event of a vault that this home knows of. */
export interface SeenMark {
  readonly epoch: number;
  readonly seq: number;
  /** PostgreSQL's timeline when that was. */
  readonly timeline: number | null;
  /** When the home first met this epoch, by this host's clock: what was in the spool before is settled. */
  readonly metAt?: number | null;
  /** PostgreSQL: some events on the way here, oldest first. */
  readonly trail?: readonly TrailStep[];
}

/** An event, and when it was recorded by the database's clock. */
export interface TrailStep {
  readonly seq: number;
  readonly at: number;
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
    const { epoch, seq, timeline, metAt, trail }: { [Member in keyof SeenMark]?: unknown } = mark;
    if (typeof epoch !== 'number' || typeof seq !== 'number') continue;
    marks.push([
      vaultId,
      { epoch, seq, timeline: numberOrNull(timeline), metAt: numberOrNull(metAt), trail: readTrail(trail) },
    ]);
  }
  return Object.fromEntries(marks);
}

function readTrail(json: unknown): TrailStep[] {
  const trail: TrailStep[] = [];
  for (const step of Array.isArray(json) ? json : []) {
    if (typeof step !== 'object' || step === null) continue;
    const { seq, at }: { seq?: unknown; at?: unknown } = step;
    if (typeof seq === 'number' && typeof at === 'number') trail.push({ seq, at });
  }
  return trail;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
