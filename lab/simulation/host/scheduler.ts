import { createHash, type Hash } from 'node:crypto';

/** The process that an event belongs to: it may be paused or dead. Events of the network and the plan have no actor. */
export interface Actor {
  readonly name: string;
  paused: boolean;
  dead: boolean;
}

interface Event {
  at: number;
  order: number;
  readonly actor: Actor | null;
  readonly what: string;
  run: (() => void) | null;
}

export interface Scheduled {
  cancel(): void;
}

/**
 * Virtual time: one event after the other, each followed by everything that it sets going.
 *
 * What waits, waits in here: there is no other source of time or order, so a seed repeats a run event for event. A paused
 * actor's events are held back until it goes on; a dead one's never happen.
 */
export class Scheduler {
  now = 0;
  #order = 0;
  #heap: Event[] = [];
  readonly #held = new Map<Actor, Event[]>();
  readonly #hash: Hash = createHash('sha256');
  readonly #trace: ((line: string) => void) | null;
  /** Work of a real program, such as a database, that an event has begun. */
  readonly #outside = new Set<Promise<unknown>>();
  /** Events that happened. */
  steps = 0;

  constructor(trace: ((line: string) => void) | null) {
    this.#trace = trace;
  }

  after(ms: number, actor: Actor | null, what: string, run: () => void): Scheduled {
    const event: Event = { at: this.now + Math.max(0, ms), order: this.#order, actor, what, run };
    this.#order += 1;
    this.#push(event);
    return {
      cancel: () => {
        event.run = null;
      },
    };
  }

  /** Lets everything happen until then, or until `done`. */
  async runUntil(end: number, done: () => boolean = () => false): Promise<void> {
    // What was called before has its first turn now.
    await this.#quiet();
    while (!done()) {
      const event = this.#heap[0];
      if (event === undefined || event.at > end) {
        this.now = Math.max(this.now, end);
        return;
      }
      this.#pop();
      if (event.run === null || event.actor?.dead === true) continue;
      this.now = Math.max(this.now, event.at);
      if (event.actor?.paused === true) {
        const held = this.#held.get(event.actor);
        if (held === undefined) this.#held.set(event.actor, [event]);
        else held.push(event);
        continue;
      }
      this.steps += 1;
      this.note(event.actor, event.what);
      event.run();
      await this.#quiet();
    }
  }

  /** Gives a paused actor what was held back for it. */
  release(actor: Actor): void {
    const held = this.#held.get(actor) ?? [];
    this.#held.delete(actor);
    // The same event objects, so that a holder of a handle can still cancel them; at once, and in their old order.
    for (const event of held) {
      if (event.run === null) continue;
      event.at = this.now;
      event.order = this.#order;
      this.#order += 1;
      this.#push(event);
    }
  }

  /** Adds a line to what two runs of one seed must have in common. */
  note(actor: Actor | null, what: string): void {
    const line = `${this.now.toFixed(3)} ${actor?.name ?? '-'} ${what}`;
    this.#hash.update(line);
    this.#trace?.(line);
  }

  /**
   * Lets a real program do something before the next event. Virtual time stands still meanwhile, so it does not matter how
   * long that takes.
   */
  async outside<T>(work: Promise<T>): Promise<T> {
    this.#outside.add(work);
    try {
      return await work;
    } finally {
      this.#outside.delete(work);
    }
  }

  /** Everything that needs no virtual time has happened: microtasks are done before the loop turns. */
  async #quiet(): Promise<void> {
    await turn();
    while (this.#outside.size > 0) {
      await Promise.allSettled(this.#outside);
      await turn();
    }
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const child = right !== undefined && left !== undefined && isBefore(right, left) ? right : left;
      if (child === undefined || !isBefore(child, last)) break;
      heap[index] = child;
      index = child === right ? 2 * index + 2 : 2 * index + 1;
    }
    heap[index] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A promise that never settles, for the calls of a dead process. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
