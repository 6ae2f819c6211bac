import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../../base/system-error.ts';
import type { EventMark } from '../../storage/statements/events.ts';

/** The newest event of a vault that this home has seen. */
export interface HighWaterMark {
  readonly epoch: number;
  readonly event: EventMark | null;
  /** PostgreSQL's timeline at that time. */
  readonly timeline: number | null;
  /** The time at which the home first saw this epoch, by this host's clock. Older answers in the spool are settled. */
  readonly metAt?: number | null;
  /** Some earlier events, oldest first; only on PostgreSQL. */
  readonly trail?: readonly EventMark[];
}

/**
 * Returns the newer of two events, by the database's clock. The order only affects how soon an older copy is noticed: a
 * database is behind if it lacks the event of the mark, even if it has other events.
 */
export function newerEvent(one: EventMark | null, other: EventMark | null): EventMark | null {
  if (one === null || other === null) return one ?? other;
  if (one.at !== other.at) return one.at > other.at ? one : other;
  return one.id >= other.id ? one : other;
}

/**
 * The marks of this home, one for each vault, stored outside of the databases. A database that lacks an event which its
 * home has seen is an older copy of itself.
 */
export class HighWaterMarks {
  readonly #path: string;
  readonly #temporary: string;

  /** @param nonce Names this writer's temporary file: containers that share a home may all have the same process number. */
  constructor(home: string, nonce: string) {
    this.#path = join(home, 'seen.json');
    this.#temporary = `${this.#path}.${nonce}.tmp`;
  }

  /** Reads the mark of a vault; undefined if this home has not seen the vault, or the file cannot be read. */
  read(vaultId: string): HighWaterMark | undefined {
    return readMarks(this.#readable())[vaultId];
  }

  /** Tells whether this home has seen a vault whose rows carry MACs. */
  hasRowMacs(vaultId: string): boolean {
    return vaultsWithRowMacs(this.#readable()).includes(vaultId);
  }

  /** Notes that the rows of a vault which this home has seen carry MACs. @throws the system's error if it cannot be written */
  noteRowMacs(vaultId: string): void {
    const json = this.#readable();
    const [marks, noted] = [readMarks(json), vaultsWithRowMacs(json)];
    if (marks[vaultId] !== undefined && !noted.includes(vaultId)) this.#replace(marks, [...noted, vaultId]);
  }

  /**
   * Moves a vault's mark forward, atomically. `reset` also moves it back, after an adoption or a failover.
   *
   * @throws the system's error if the file is there and cannot be read: writing it would drop the marks of other vaults
   */
  write(vaultId: string, mark: HighWaterMark, options: { reset?: boolean } = {}): void {
    const json = this.#json();
    const all = readMarks(json);
    const known = all[vaultId];
    const ahead =
      known !== undefined &&
      (known.epoch > mark.epoch || (known.epoch === mark.epoch && newerEvent(known.event, mark.event) === known.event));
    if (ahead && options.reset !== true) return;
    this.#replace({ ...all, [vaultId]: mark }, [...new Set([...vaultsWithRowMacs(json), vaultId])]);
  }

  #replace(vaults: Record<string, HighWaterMark>, rowMacs: readonly string[]): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    try {
      writeFileSync(this.#temporary, JSON.stringify({ vaults, rowMacs }), { mode: 0o600 });
      renameSync(this.#temporary, this.#path);
    } catch (error) {
      // The name is never used again, so the file would stay.
      rmSync(this.#temporary, { force: true });
      throw error;
    }
  }

  /** As `#json`; null too if the file cannot be read. By design, such a home joins as an empty one. */
  #readable(): unknown {
    try {
      return this.#json();
    } catch {
      return null;
    }
  }

  /** Reads the file; null if there is none, or none that can be parsed. */
  #json(): unknown {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8'));
    } catch (error) {
      if (error instanceof SyntaxError || systemCodeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }
}

/** Checks the file by hand: every start reads it, and a schema library would double the start-up time. */
function readMarks(json: unknown): Record<string, HighWaterMark> {
  const vaults: unknown = typeof json === 'object' && json !== null && 'vaults' in json ? json.vaults : undefined;
  if (typeof vaults !== 'object' || vaults === null) return {};
  const marks: [string, HighWaterMark][] = [];
  for (const vaultId of Object.keys(vaults)) {
    const mark: unknown = Reflect.get(vaults, vaultId);
    if (typeof mark !== 'object' || mark === null) continue;
    const { epoch, event, timeline, metAt, trail }: { [Member in keyof HighWaterMark]?: unknown } = mark;
    if (typeof epoch !== 'number') continue;
    marks.push([
      vaultId,
      {
        epoch,
        event: readEvents([event])[0] ?? null,
        timeline: numberOrNull(timeline),
        metAt: numberOrNull(metAt),
        trail: readEvents(trail),
      },
    ]);
  }
  return Object.fromEntries(marks);
}

function vaultsWithRowMacs(json: unknown): readonly string[] {
  const ids: unknown = typeof json === 'object' && json !== null && 'rowMacs' in json ? json.rowMacs : undefined;
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

function readEvents(json: unknown): EventMark[] {
  const events: EventMark[] = [];
  for (const event of Array.isArray(json) ? json : []) {
    if (typeof event !== 'object' || event === null) continue;
    const { tenant, id, at }: { [Member in keyof EventMark]?: unknown } = event;
    if (typeof tenant === 'string' && typeof id === 'string' && typeof at === 'number') events.push({ tenant, id, at });
  }
  return events;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
