interface Running<Answer> {
  readonly version: number;
  readonly answer: Promise<Answer>;
}

/**
 * Lets concurrent callers with the same request share one answer.
 *
 * A running request is shared only by callers with the same version. A caller that knows of a change passes a newer
 * version and gets an answer that was begun after the change.
 */
export class SingleFlight<Answer> {
  /**
   * A plain object instead of a Map: under constant insertion and deletion V8 rehashes a Map into a chain of tables. An old
   * table that survives garbage collection keeps the entries of all later tables alive.
   */
  readonly #running: Record<string, Running<Answer> | undefined> = Object.create(null);

  run(name: string, version: number, begin: () => Promise<Answer>): Promise<Answer> {
    const running = this.#running[name];
    if (running !== undefined && running.version === version) return running.answer;
    const begun = { version, answer: begin() };
    this.#running[name] = begun;
    const end = (): void => {
      if (this.#running[name] === begun) delete this.#running[name];
    };
    begun.answer.then(end, end);
    return begun.answer;
  }
}
