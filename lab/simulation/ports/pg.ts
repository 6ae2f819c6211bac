/**
 * Stands in for `pg` in the storage: a real PostgreSQL, of which one statement runs at a time, inside of the step that
 * sends it. So the order of all statements, and every wait for a lock, is the scheduler's, and a seed repeats a run.
 */
import { EventEmitter } from 'node:events';
import { Client, type ClientConfig, type PoolClient, type QueryResult, Pool as RealPool } from 'pg';
import type { Scheduled } from '../host/scheduler.ts';
import { currentProcess, type ServerProcess } from './processes.ts';

export { types } from 'pg';

/** As the vault asks of the server; real time must not end a transaction, so these count in virtual time. */
const transactionMs = 8_000;
/** The vault's side gives up on a commit after this long; the server may still do it. */
const commitAnswerMs = 12_000;
const clock = /floor\(extract\(epoch from clock_timestamp\(\)\) \* 1000\)::bigint/g;
const otherClocks = /clock_timestamp|current_timestamp|\bnow\(\)/;
/** Statements that can wait for another transaction. */
const mayWait = /^\s*(insert|update|delete|with)|\bfor\s+(update|share|no key)|advisory/i;

interface Query {
  readonly text: string;
  readonly values?: unknown[];
}

/** Connections to the server that no client holds now. A run begins with none. */
const idle: Client[] = [];
const waiting = new Set<() => void>();

/** Closes the connections of a run. */
export async function closeConnections(): Promise<void> {
  waiting.clear();
  await Promise.all(idle.splice(0).map((client) => client.end()));
}

/** The pool of one simulated process. Outside of a simulation it hands on to the driver's own. */
export class Pool extends EventEmitter {
  readonly #config: ClientConfig & { max?: number };
  readonly #process = currentProcess();
  readonly #real: RealPool | undefined;
  readonly #clients = new Set<SimulatedClient>();
  readonly #queue: (() => void)[] = [];

  constructor(config: ClientConfig & { max?: number }) {
    super();
    this.#config = config;
    if (this.#process === undefined) this.#real = new RealPool(config);
    this.#process?.handles.add({ close: () => this.#die() });
  }

  async connect(): Promise<SimulatedClient | PoolClient> {
    if (this.#real !== undefined) return this.#real.connect();
    return this.#connect();
  }

  async query(text: string, values?: unknown[]): Promise<QueryResult> {
    if (this.#real !== undefined) return this.#real.query(text, values);
    const client = await this.#connect();
    try {
      return await client.query(values === undefined ? { text } : { text, values });
    } finally {
      client.release();
    }
  }

  async end(): Promise<void> {
    await this.#real?.end();
    while (this.#clients.size > 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  async #connect(): Promise<SimulatedClient> {
    while (this.#clients.size >= (this.#config.max ?? 10)) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    if (this.#process === undefined) throw new Error('no simulated process has this pool');
    const client = new SimulatedClient(this.#process, this.#config, () => {
      this.#clients.delete(client);
      this.#queue.shift()?.();
    });
    this.#clients.add(client);
    return client;
  }

  #die(): void {
    for (const client of this.#clients) client.vanish();
  }
}

/** One connection of a process. It takes a connection to the server with its first statement. */
class SimulatedClient extends EventEmitter {
  readonly #process: ServerProcess;
  readonly #config: ClientConfig;
  readonly #released: () => void;
  #server: Client | undefined;
  #inTransaction = false;
  /** The server has been told to commit, and has not answered. */
  #committing = false;
  #lastAt = 0;
  #watch: Scheduled | undefined;
  #lost: Error | undefined;

  constructor(process: ServerProcess, config: ClientConfig, released: () => void) {
    super();
    this.#process = process;
    this.#config = config;
    this.#released = released;
  }

  async query({ text, values }: Query): Promise<QueryResult> {
    if (this.#lost !== undefined) throw this.#lost;
    if (text.startsWith('begin')) return this.#begin();
    if (text === 'commit') return this.#commit();
    if (text === 'rollback') return this.#end('rollback');
    return this.#patiently({ text: this.#atVirtualTime(text), ...(values === undefined ? {} : { values }) });
  }

  /** Gives the connection back. With an error it is closed, and the server rolls back. */
  release(error?: unknown): void {
    this.#watch?.cancel();
    if (this.#inTransaction) this.#rollBack(error === undefined ? undefined : 'closed');
    if (!this.#committing) this.#giveBack();
    this.#released();
  }

  /** The process died: the server sees the closed socket, and rolls back. */
  vanish(): void {
    this.#watch?.cancel();
    this.#lost ??= new Error('the process is gone');
    if (this.#inTransaction) this.#rollBack('closed');
    if (!this.#committing) this.#giveBack();
  }

  /** Once only: two clients with one connection would end each other's transactions. */
  #giveBack(): void {
    if (this.#server !== undefined) idle.push(this.#server);
    this.#server = undefined;
  }

  async #begin(): Promise<QueryResult> {
    const result = await this.#send({ text: 'begin isolation level read committed' });
    this.#inTransaction = true;
    this.#watchIdle();
    return result;
  }

  async #commit(): Promise<QueryResult> {
    const slowMs = this.#process.slowCommitMs();
    if (slowMs === 0) return this.#end('commit');
    this.#watch?.cancel();
    // A standby that is late, or a disk: from here the server goes on, also if the process dies.
    this.#inTransaction = false;
    this.#committing = true;
    return new Promise<QueryResult>((resolve, reject) => {
      this.#process.later(slowMs, 'a slow commit', () => {
        this.#lateCommit().then(resolve, reject);
      });
      const noAnswer = (): void => {
        this.#lost ??= new Error('Query read timeout');
        reject(this.#lost);
      };
      if (slowMs > commitAnswerMs) this.#process.after(commitAnswerMs, 'no answer to a commit', noAnswer);
    });
  }

  async #lateCommit(): Promise<QueryResult> {
    const isLate = this.#lost !== undefined;
    const result = await this.#end('commit');
    this.#committing = false;
    // Its process has given this connection up.
    if (isLate) this.#giveBack();
    await this.#process.committed();
    return result;
  }

  async #end(text: 'commit' | 'rollback'): Promise<QueryResult> {
    this.#watch?.cancel();
    const result = await this.#send({ text });
    this.#inTransaction = false;
    wakeAll();
    return result;
  }

  /** Repeats a statement that meets a lock, as often as another transaction ends, for as long as the server would. */
  async #patiently(query: Query): Promise<QueryResult> {
    const endsAt = this.#process.monotonic() + transactionMs;
    for (;;) {
      try {
        return await this.#attempt(query);
      } catch (error) {
        if (stateOf(error) !== '55P03') throw error;
      }
      const leftMs = endsAt - this.#process.monotonic();
      this.#process.count('waits for a lock');
      if (leftMs <= 0) throw serverError('57014', 'canceling statement due to statement timeout');
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          timer.cancel();
          waiting.delete(wake);
          this.#process.after(0.1, 'a lock is free', resolve);
        };
        const timer = this.#process.after(leftMs, 'waited for a lock', wake);
        waiting.add(wake);
      });
      if (this.#lost !== undefined) throw this.#lost;
    }
  }

  async #attempt(query: Query): Promise<QueryResult> {
    this.#lastAt = this.#process.monotonic();
    if (!this.#inTransaction || !mayWait.test(query.text)) return this.#send(query);
    const server = await this.#connected();
    const [saved, result] = await this.#process.outside(
      Promise.allSettled([server.query('savepoint step'), server.query(query)]),
    );
    if (saved.status === 'rejected') throw saved.reason;
    if (result.status === 'fulfilled') return result.value;
    if (stateOf(result.reason) === '55P03') await this.#send({ text: 'rollback to savepoint step' });
    throw result.reason;
  }

  async #send(query: Query): Promise<QueryResult> {
    const server = await this.#connected();
    this.#lastAt = this.#process.monotonic();
    return this.#process.outside(server.query(query));
  }

  async #connected(): Promise<Client> {
    this.#server ??= idle.pop() ?? (await this.#process.outside(connect(this.#config)));
    return this.#server;
  }

  /** The server ends a session whose transaction does nothing, as `idle_in_transaction_session_timeout` asks. */
  #watchIdle(): void {
    this.#watch = this.#process.later(transactionMs, 'the server looks for idle transactions', () => {
      if (!this.#inTransaction) return;
      if (this.#process.monotonic() - this.#lastAt < transactionMs) {
        this.#watchIdle();
        return;
      }
      this.#process.count('idle transactions ended by the server');
      this.#rollBack('25P03');
    });
  }

  #rollBack(why: string | undefined): void {
    this.#inTransaction = false;
    if (why !== undefined && this.#lost === undefined) {
      this.#lost = serverError(why === 'closed' ? '08006' : why, 'the session was ended');
      this.emit('error', this.#lost);
    }
    if (this.#server === undefined) return;
    this.#process.outside(this.#server.query('rollback')).then(wakeAll, () => {});
  }

  /** The server's clock is the simulated host's. */
  #atVirtualTime(text: string): string {
    const timed = text.replace(clock, `${this.#process.serverClock()}::bigint`);
    if (otherClocks.test(timed)) throw new Error(`a statement reads a clock that is not simulated: ${text}`);
    return timed;
  }
}

async function connect(config: ClientConfig): Promise<Client> {
  const { connectionString, types } = config;
  const client = new Client({
    ...(connectionString === undefined ? {} : { connectionString }),
    ...(types === undefined ? {} : { types }),
  });
  client.on('error', () => {});
  await client.connect();
  // Only one statement runs at a time, so a lock that is held now is held until another step.
  await client.query(
    "set lock_timeout = '1ms'; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0",
  );
  return client;
}

function wakeAll(): void {
  for (const wake of Array.from(waiting)) wake();
}

function stateOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
}

function serverError(code: string, message: string): Error {
  return Object.assign(new Error(message), { severity: 'FATAL', code });
}
