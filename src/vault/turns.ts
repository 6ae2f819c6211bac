import { GrantryError } from '../base/errors.ts';
import type { CheckedKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import type { World } from '../base/world.ts';
import { endsInTime } from './deadline.ts';

/** A queue before the connections of the database: how many are in, and who waits. */
interface Line {
  inside: number;
  readonly waiting: (() => void)[];
}

/**
 * Lets the writers of a grant take turns, and admits only some writers of a tenant at a time.
 *
 * A transaction that waits for a locked row keeps its connection for seconds. Without turns, the callers of one locked grant
 * would take all connections of the process.
 */
export class Turns {
  readonly #world: World;
  readonly #lines = new Map<string, Line>();

  constructor(world: World) {
    this.#world = world;
  }

  /**
   * Runs a transaction on one grant when it is its turn.
   *
   * @throws {GrantryError} `storage_unavailable` if its turn does not come in the time of a transaction
   */
  async run<T>({ tenant, provider, account }: CheckedKey, write: () => Promise<T>): Promise<T> {
    // The grant first: who waits for a grant takes no room from the tenant's other grants.
    return this.#inLine(`${tenant}/${provider}/${account}`, 1, () =>
      this.#inLine(tenant, limits.tenantWritesMax, write),
    );
  }

  async #inLine<T>(name: string, max: number, run: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(name) ?? { inside: 0, waiting: [] };
    this.#lines.set(name, line);
    if (line.inside < max) line.inside += 1;
    else await this.#turnIn(line);
    try {
      return await run();
    } finally {
      this.#pass(name, line);
    }
  }

  #pass(name: string, line: Line): void {
    const next = line.waiting.shift();
    if (next !== undefined) return next();
    line.inside -= 1;
    if (line.inside === 0) this.#lines.delete(name);
  }

  async #turnIn(line: Line): Promise<void> {
    const { promise, resolve: pass } = Promise.withResolvers<void>();
    line.waiting.push(pass);
    if (await endsInTime(this.#world, promise, limits.transactionMs)) return;
    const place = line.waiting.indexOf(pass);
    // The turn came in the same moment.
    if (place < 0) return;
    line.waiting.splice(place, 1);
    throw new GrantryError('storage_unavailable', 'Other writers of this grant or tenant wait for a locked row.');
  }
}
