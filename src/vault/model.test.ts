/**
 * Random lives of a grant against a provider of every class, judged by the provider's history and the invariants I1 to
 * I7. A failing run prints its seed and path; put them into `fc.assert` to see it again.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Bench, makeBench, nameOfToken, settled } from '../../test/support/bench.ts';
import { isGrantryError } from '../base/errors.ts';

type Opened = Awaited<ReturnType<Bench['open']>>;

/** The judge's memory. */
interface Model {
  /** The number of answers with tokens that no process received, or that were lost with their process. */
  lost: number;
  disconnected: boolean;
  generationsSeen: number;
}

interface Real {
  bench: Bench;
  id: string;
  key: { tenant: string; provider: string };
  vaults: Opened[];
}

type Command = fc.AsyncCommand<Model, Real>;

/** The newest generation that each process has handed out. */
const newestSeen = new WeakMap<Opened, number>();

const key = { tenant: 'acme', provider: '' };
const typed = /^(provider_\w+|refresh_uncertain|reauthorization_required|grant_not_found)$/;

/** Asks for a token, and lets time pass until the answer arrives (I5: it is a token or a typed error). */
async function ask(model: Model, real: Real, vault: Opened): Promise<void> {
  const outcome = vault.vault.getAccessToken(real.key).then(
    (token) => ({ generation: token.generation, accessToken: token.accessToken, code: null }),
    (error: unknown) => ({ generation: 0, accessToken: '', code: isGrantryError(error) ? error.code : String(error) }),
  );
  const waiting = Symbol('no answer yet');
  for (let waitedMs = 0; waitedMs < 80_000; waitedMs += 2_500) {
    await settled(3);
    if ((await Promise.race([outcome, Promise.resolve(waiting)])) !== waiting) break;
    await real.bench.jump(2_500);
  }
  const { generation, code, accessToken } = await outcome;
  if (code !== null) {
    expect(code).toMatch(typed);
    return;
  }
  expect(model.disconnected).toBe(false);
  // I3: no process gets an older generation than it has seen. It may notice another process's change seconds later.
  // I7: the token belongs to this grant.
  expect(generation).toBeGreaterThanOrEqual(newestSeen.get(vault) ?? 0);
  newestSeen.set(vault, generation);
  const made = real.bench.simulator.history.events().map((event) => event.accessToken);
  expect(made).toContain(nameOfToken(accessToken));
}

/** Checks the invariants that hold after every step. */
async function check(model: Model, real: Real): Promise<void> {
  const row = await real.bench.row(real.key);
  // I3: generations only grow.
  expect(row.generation).toBeGreaterThanOrEqual(model.generationsSeen);
  model.generationsSeen = row.generation;
  const replays = real.bench.simulator.history.duplicateSpends();
  // I1: no token is spent twice unless an answer was lost.
  if (model.lost === 0) expect(replays).toHaveLength(0);
  // I4: no grant is given up while the provider would still accept its token, unless an answer was lost.
  if (row.state === 'reauthorization_required' && model.lost === 0) expect.unreachable('a false death');
}

class Read implements Command {
  readonly which: number;
  constructor(which: number) {
    this.which = which;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    await ask(model, real, real.vaults[this.which % real.vaults.length] ?? expect.unreachable());
    await check(model, real);
  }
  toString = (): string => `read(${this.which})`;
}

class Pass implements Command {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    await real.bench.jump(this.ms);
    await check(model, real);
  }
  toString = (): string => `pass(${this.ms})`;
}

class Reject implements Command {
  check = (model: Readonly<Model>): boolean => !model.disconnected;
  async run(model: Model, real: Real): Promise<void> {
    const { vault } = real.vaults[0] ?? expect.unreachable();
    const { generation } = await real.bench.row(real.key);
    await vault.rejectAccessToken(real.key, generation).catch((error: unknown) => {
      expect(isGrantryError(error) ? error.code : String(error)).toMatch(typed);
    });
    await check(model, real);
  }
  toString = (): string => 'reject';
}

class Drop implements Command {
  readonly effect: 'reset' | 'cut' | 'status';
  constructor(effect: 'reset' | 'cut' | 'status') {
    this.effect = effect;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const { simulator } = real.bench;
    const effects = {
      reset: { kind: 'reset', when: 'after' },
      cut: { kind: 'cut' },
      status: { kind: 'status', status: 502, when: 'after' },
    } as const;
    simulator.faults.add({ endpoint: 'token', effect: effects[this.effect] });
    model.lost += 1;
    await ask(model, real, real.vaults[0] ?? expect.unreachable());
    simulator.faults.clear();
    await check(model, real);
  }
  toString = (): string => `drop(${this.effect})`;
}

/** A process dies while it waits for an answer, and another one starts. */
class Crash implements Command {
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const { bench } = real;
    const [dying] = real.vaults.splice(0, 1);
    if (dying === undefined) return;
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'hang', when: 'after' } });
    dying.vault.getAccessToken(real.key).catch(() => {});
    await settled(10);
    await bench.crash(dying);
    bench.simulator.faults.clear();
    model.lost += 1;
    real.vaults.push(await bench.open());
    await check(model, real);
  }
  toString = (): string => 'crash';
}

/** A process is paused while its answer arrives, for longer than a renewed lease lasts. */
class Pause implements Command {
  check = (model: Readonly<Model>): boolean => !model.disconnected;
  async run(model: Model, real: Real): Promise<void> {
    const { bench } = real;
    const [slow, other] = real.vaults;
    if (slow === undefined || other === undefined) return;
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 100, when: 'after' } });
    const late = slow.vault.getAccessToken(real.key, { minValidity: 86_400 }).catch(() => {});
    await settled(5);
    slow.world.freeze();
    // After the lease has ended, another process may spend the same token.
    model.lost += 1;
    await bench.jump(5_000);
    await ask(model, real, other);
    slow.world.thaw();
    await bench.jump(100);
    await settled(5);
    await bench.jump(31_000);
    await late;
    bench.simulator.faults.clear();
    await check(model, real);
  }
  toString = (): string => 'pause';
}

class Connect implements Command {
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const { vault } = real.vaults.at(-1) ?? expect.unreachable();
    await real.bench.connect(vault, { provider: real.id });
    model.disconnected = false;
    model.lost = 0;
    real.bench.simulator.history.clear();
    // Other processes may hold the old tokens until they read the change.
    await real.bench.jump(5_000);
    await settled(3);
    await check(model, real);
  }
  toString = (): string => 'connect';
}

class Disconnect implements Command {
  check = (model: Readonly<Model>): boolean => !model.disconnected;
  async run(model: Model, real: Real): Promise<void> {
    const { vault } = real.vaults[0] ?? expect.unreachable();
    await vault.disconnect(real.key);
    model.disconnected = true;
    const row = await real.bench.row(real.key);
    expect([row.access_token, row.refresh_token]).toEqual([null, null]);
    expect(
      await vault.getAccessToken(real.key).then(
        () => 'a token',
        () => 'refused',
      ),
    ).toBe('refused');
    // Other processes stop within 5 s.
    await real.bench.jump(5_000);
    await check(model, real);
  }
  toString = (): string => 'disconnect';
}

const commands = [
  fc.nat(1).map((which) => new Read(which)),
  fc.nat(1).map((which) => new Read(which)),
  fc.constantFrom(1_000, 5_000, 31_000, 130_000, 3_600_000, 7_300_000).map((ms) => new Pass(ms)),
  fc.constant(new Reject()),
  fc.constantFrom('reset' as const, 'cut' as const, 'status' as const).map((effect) => new Drop(effect)),
  fc.constant(new Crash()),
  fc.constant(new Pause()),
  fc.constant(new Connect()),
  fc.constant(new Disconnect()),
];

const classes = ['none', 'timed_overlap', 'retire_on_use', 'strict', 'strict_revokes_family', 'overlap_newest_only'];

it.each(classes)('a random life of a grant at %s', async (id) => {
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 12 }), async (steps) => {
    await using bench = await makeBench({ profiles: [id] });
    const vaults = [await bench.open(), await bench.open()];
    const first = vaults[0] ?? expect.unreachable();
    await bench.connect(first.vault, { provider: id });
    const real: Real = { bench, id, key: { ...key, provider: id }, vaults };
    const model: Model = { lost: 0, disconnected: false, generationsSeen: 1 };
    await fc.asyncModelRun(() => ({ model, real }), steps);
    await heal(model, real);
  });
  await fc.assert(property, { numRuns: Number(process.env['GRANTRY_MODEL_RUNS'] ?? 5), endOnFailure: true });
});

/** I6: once faults have stopped, every grant settles. If no loss can end it, it lives (I2). */
async function heal(model: Model, real: Real): Promise<void> {
  const { bench } = real;
  bench.simulator.faults.clear();
  for (let tries = 0; tries < 6; tries += 1) {
    await bench.jump(tries < 2 ? 5_000 : 130_000);
    await ask(model, real, real.vaults[0] ?? expect.unreachable());
    const { state } = await bench.row(real.key);
    if (state !== 'uncertain' && state !== 'suspect') break;
  }
  const row = await bench.row(real.key);
  expect(['active', 'reauthorization_required', 'disconnected']).toContain(row.state);
  const alive = bench.simulator.families().at(-1)?.alive;
  if (row.state === 'active') expect(alive).toBe(true);
  if (['none', 'retire_on_use'].includes(real.id) && !model.disconnected) expect(row.state).toBe('active');
}
