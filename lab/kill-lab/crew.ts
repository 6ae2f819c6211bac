import { mkdirSync } from 'node:fs';

import { Child, ChildGoneError } from './child.ts';
import type { WorkerCommand, WorkerPlan } from './messages.ts';

export interface Slot {
  readonly index: number;
  readonly home: string;
  readonly wireLog: string;
  child: Child<WorkerCommand>;
  state: 'starting' | 'working' | 'stopped';
  workingSince: number;
}

/** The workers: a place whose process was killed gets a new process at once. */
export class Crew {
  readonly slots: Slot[] = [];
  readonly #program: string;
  readonly #plan: (slot: { index: number; home: string; wireLog: string }) => WorkerPlan;
  readonly #tenants: () => readonly string[];
  #ending = false;
  readonly #starting = new Set<Promise<void>>();
  failure: Error | undefined;

  constructor(
    program: string,
    plan: (slot: { index: number; home: string; wireLog: string }) => WorkerPlan,
    tenants: () => readonly string[],
  ) {
    this.#program = program;
    this.#plan = plan;
    this.#tenants = tenants;
  }

  async add(place: { index: number; home: string; wireLog: string }): Promise<void> {
    mkdirSync(place.home, { recursive: true });
    const child = await Child.start<WorkerCommand>(this.#program);
    const slot: Slot = { ...place, child, state: 'starting', workingSince: 0 };
    this.slots.push(slot);
    await this.#open(slot);
  }

  /** Starts a new process in the same place, with the same home and spool. */
  restart(slot: Slot): void {
    slot.state = 'starting';
    const started = this.#startAgain(slot).catch((error: unknown) => {
      if (!(error instanceof ChildGoneError) || !this.#ending) this.failure ??= asError(error);
    });
    this.#starting.add(started);
    void started.finally(() => this.#starting.delete(started));
  }

  tellAll(): void {
    for (const slot of this.slots)
      if (slot.state !== 'starting') this.tell(slot, { ask: 'work', tenants: this.#tenants() });
  }

  /** Sends a command without waiting; a process that is gone by then receives it at its next start. */
  tell(slot: Slot, command: WorkerCommand): void {
    slot.child.ask(command).catch(() => {});
  }

  /** Lets all processes finish their work. */
  async close(): Promise<void> {
    this.#ending = true;
    await Promise.allSettled(this.#starting);
    const closing = this.slots.map(async ({ child }) => {
      child.signal('SIGCONT');
      await child.ask({ ask: 'close' });
      await child.kill();
    });
    await Promise.allSettled(closing);
  }

  /** Kills all processes after an error. */
  async killAll(): Promise<void> {
    this.#ending = true;
    await Promise.allSettled(this.slots.map(({ child }) => child.kill()));
  }

  async #startAgain(slot: Slot): Promise<void> {
    slot.child = await Child.start<WorkerCommand>(this.#program);
    await this.#open(slot);
  }

  async #open(slot: Slot): Promise<void> {
    const quarantine = await slot.child.ask<string | null>({ ask: 'open', plan: this.#plan(slot) });
    if (quarantine !== null) throw new Error(`a worker found its database quarantined: ${quarantine}`);
    await slot.child.ask({ ask: 'work', tenants: this.#tenants() });
    slot.state = 'working';
    slot.workingSince = performance.now();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
