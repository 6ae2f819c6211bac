/**
 * Lets callers who ask for the same at once share one answer.
 *
 * What is shared was begun under a version, and is joined under that version alone: whoever has been told of a change
 * gets an answer that was begun after it.
 */
export class Joined<Answer> {
  readonly #running = new Map<string, { version: number; answer: Promise<Answer> }>();

  join(name: string, version: number, begin: () => Promise<Answer>): Promise<Answer> {
    const running = this.#running.get(name);
    if (running !== undefined && running.version === version) return running.answer;
    const begun = { version, answer: begin() };
    this.#running.set(name, begun);
    const end = (): void => {
      if (this.#running.get(name) === begun) this.#running.delete(name);
    };
    begun.answer.then(end, end);
    return begun.answer;
  }
}
