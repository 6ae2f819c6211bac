interface Running<Answer> {
  readonly version: number;
  readonly answer: Promise<Answer>;
}

/**
 * Lets callers who ask for the same at once share one answer.
 *
 * What is shared was begun under a version, and is flight under that version alone: whoever has been told of a change
 * gets an answer that was begun after it.
 */
export class SingleFlight<Answer> {
  /**
   * A plain object: when entries come and go, a Map is copied into new tables again and again, each table points to the
   * next, and one that has grown old keeps alive all that stood in those after it.
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
