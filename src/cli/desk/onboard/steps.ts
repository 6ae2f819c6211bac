import type { Output } from '../../terminal/output.ts';

/** The steps of an onboarding, in their order. */
const stepNames = ['app', 'redirect URI', 'connect', 'organisation', 'health'] as const;
type StepName = (typeof stepNames)[number];

/** The result of a step: `done` now, `kept` from before, `open` where a person has something left to do. */
type StepResult = 'done' | 'kept' | 'open';

interface Step {
  readonly step: StepName;
  readonly result: StepResult;
  readonly detail: string;
}

/** The steps of one run: each is told as soon as it is over. */
export class Steps {
  readonly #output: Output;
  readonly #over: Step[] = [];
  readonly #left: string[] = [];

  constructor(output: Output) {
    this.#output = output;
  }

  tell(step: StepName, result: StepResult, detail: string): void {
    this.#over.push({ step, result, detail });
    if (this.#output.json) return;
    const number = `${stepNames.indexOf(step) + 1}/${stepNames.length}`;
    this.#output.print(`${number}  ${step.padEnd(12)}  ${result.padEnd(4)}  ${detail}`);
  }

  /** Keeps what a person has left to do; it is told at the end. */
  leave(words: string): void {
    this.#left.push(words);
  }

  /** Says where a run stopped: it goes on there. */
  tellStop(command: string): void {
    const names = this.#over.map(({ step }) => step);
    const left = stepNames.filter((name) => !names.includes(name));
    const done = names.length === 0 ? 'Nothing is done yet' : `Done: ${names.join(', ')}`;
    this.#output.note(`${done}. Left: ${left.join(', ')}. What is done is kept: run ${command} again to go on.`);
  }

  get left(): readonly string[] {
    return this.#left;
  }

  toJson(): readonly Step[] {
    return this.#over;
  }
}
