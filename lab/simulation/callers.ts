import { isGrantryError } from '../../src/base/errors.ts';
import { type Calls, describe } from './calls.ts';
import type { Dice } from './host/dice.ts';
import type { JudgedGrant } from './judge/judge.ts';
import type { Life } from './world/life.ts';
import type { WorldState } from './world/state.ts';

/** The programs that ask the vaults for tokens and use them. */
export class Callers {
  readonly #state: WorldState;
  readonly #calls: Calls;
  readonly #dice: Dice;

  constructor(state: WorldState, calls: Calls, dice: Dice) {
    this.#state = state;
    this.#calls = calls;
    this.#dice = dice;
  }

  start(life: Life): void {
    for (let caller = 0; caller < 2; caller += 1) {
      this.#calling(life, this.#dice.fork()).catch((error: unknown) => {
        this.#state.judge.violated(`a caller of ${life.name} failed: ${describe(error)}`);
      });
    }
  }

  async #calling(life: Life, dice: Dice): Promise<void> {
    const { plan } = this.#state;
    const busy = dice.chance(0.3);
    while (this.#state.chaos) {
      await life.sleep(dice.exponential(plan.callPauseMs * (busy ? 0.2 : 1)));
      if (!this.#state.chaos || life.vault === undefined) return;
      const grant = dice.pick(this.#state.judge.grants);
      try {
        await this.#callAndUse(life, grant, dice);
      } catch (error) {
        if (!isGrantryError(error)) throw error;
        this.#state.coverage.count(`caller got ${error.code}`);
        if (error.code === 'invalid_request') return;
      }
    }
  }

  async #callAndUse(life: Life, grant: JudgedGrant, dice: Dice): Promise<void> {
    const { vault } = life;
    if (vault === undefined) return;
    const key = { tenant: grant.tenant, provider: grant.provider };
    const options = dice.chance(0.25) ? { minValidity: dice.whole(0, 200) } : undefined;
    const token = await this.#calls.call(life, grant, 'getAccessToken', () => vault.getAccessToken(key, options));
    this.#state.coverage.count('tokens handed out');
    const accepted = dice.chance(0.8) ? await this.#calls.use(life, grant, token) : !dice.chance(0.2);
    if (accepted !== false) return;
    await this.#calls.reject(life, grant, token.generation);
    this.#state.coverage.count('tokens rejected');
  }
}
