/** When a grant is tried again after an answer without tokens, and what its callers are told. */
import { describe, expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { isGrantryError } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import type { FaultEffect } from '../../simulator/index.ts';

const status = (code: number, headers: Record<string, string> = {}): FaultEffect => ({
  kind: 'status',
  status: code,
  when: 'after',
  headers,
});

/** After these the request may be under way: its lease stays until the longest answer would have come. */
const underWay: readonly [string, FaultEffect][] = [
  ['a reset', { kind: 'reset', when: 'after' }],
  ['half an answer', { kind: 'cut' }],
  ...[504, 524, 598, 599].map((code): [string, FaultEffect] => [`a ${code} of a gateway`, status(code)]),
];
const whole: readonly [string, FaultEffect][] = [
  ['a whole 503', status(503)],
  ['a whole HTML page', { kind: 'html', when: 'after' }],
];

const noReplay = (each: ProviderDefinitionInput): ProviderDefinitionInput => ({
  ...each,
  refreshToken: { ...each.refreshToken, replayAfterLoss: false },
});

describe('at a strict provider the spent token', () => {
  it.each(underWay)('waits for its lease after %s', async (_, effect) => {
    await using met = await afterAnswer('strict', effect);
    expect(await sentAt(met, [3_000, 100_000, 121_000])).toEqual([1, 1, 2]);
  });

  it('and its caller waits for the lease', async () => {
    await using met = await afterAnswer('strict', { kind: 'reset', when: 'after' });
    expect(met.error.retryAfterMs).toBeGreaterThan(100_000);
  });

  it.each(whole)('is tried again within seconds after %s', async (_, effect) => {
    await using met = await afterAnswer('strict', effect);
    expect(await sentAt(met, [3_000])).toEqual([2]);
  });

  it('waits for no lease after a refusal that broke off: the provider is done with the request', async () => {
    await using bench = await makeBench();
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault);
    const fetch = world.fetch.bind(world);
    world.fetch = () => Promise.resolve(new Response(brokenOff(), { status: 429, headers: { 'retry-after': '7' } }));
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'provider_throttled', retryAfterMs: 7_000 });
    world.fetch = fetch;
    await bench.jump(8_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });

  it('waits as long as the provider asks, also after the lease', async () => {
    for (const [effect, times, sent] of [
      [status(503, { 'retry-after': '60' }), [50_000, 61_000], [1, 2]],
      [status(503, { 'retry-after': '90' }), [80_000, 91_000], [1, 2]],
      [status(504, { 'retry-after': '180' }), [121_000, 170_000, 181_000], [1, 1, 2]],
      [status(504, { 'retry-after': '20' }), [30_000, 121_000], [1, 2]],
    ] as const) {
      await using met = await afterAnswer('strict', effect);
      expect(met.error.retryAfterMs).toBeGreaterThan((times[0] ?? 0) - 1_000);
      expect(await sentAt(met, times)).toEqual(sent);
    }
  });

  it('is not in doubt after a whole 503 if a replay is forbidden, and keeps its lease after a 504', async () => {
    await using failed = await afterAnswer('strict_revokes_family', status(503), noReplay);
    expect((await failed.bench.row(failed.key)).state).toBe('active');
    expect(failed.error).toMatchObject({ code: 'provider_unavailable' });
    expect(await sentAt(failed, [3_000])).toEqual([2]);
    await using late = await afterAnswer('strict_revokes_family', status(504), noReplay);
    expect((await late.bench.row(late.key)).state).toBe('active');
    expect(late.error.retryAfterMs).toBeGreaterThan(100_000);
    expect(await sentAt(late, [3_000, 100_000, 121_000])).toEqual([1, 1, 2]);
  });
});

it('a request that could not be sent waits for its back-off, and its claim is over', async () => {
  await using bench = await makeBench({ profiles: ['retire_on_use'] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault, { provider: 'retire_on_use' });
  world.offline = true;
  await vault.getAccessToken(key).catch(() => {});
  const row = await bench.row(key);
  expect(row).toMatchObject({ state: 'active', reason: 'provider_unavailable', lease_owner: null });
  expect((row.retry_at ?? 0) - bench.clock.now()).toBeGreaterThan(500);
  await expect(vault.getAccessToken(key)).rejects.toThrow('(not reached)');
  world.offline = false;
  await bench.jump(3_000);
  expect((await vault.getAccessToken(key)).generation).toBe(2);
});

it('a lost answer makes a grant uncertain once, however often it is lost', async () => {
  await using met = await afterAnswer('retire_on_use', status(503));
  met.bench.simulator.faults.add({ endpoint: 'token', effect: status(503) });
  expect(await sentAt(met, [3_000])).toEqual([2]);
  expect(await met.bench.events(met.key)).toEqual(['stored', 'uncertain']);
});

it.each([
  ['a lost answer', 'retire_on_use', { kind: 'reset', when: 'after' }],
  ['a failure of the provider', 'none', status(503)],
] as const)('however long the back-off, a caller may probe again seconds after %s', async (_, id, effect) => {
  await using met = await afterAnswer(id, effect);
  const { bench, vault, key } = met;
  for (let failures = 1; failures < 5; failures += 1) {
    bench.simulator.faults.add({ endpoint: 'token', effect });
    await bench.jump(100_000);
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ retryAfterMs: expect.toSatisfy(isSeconds) });
  }
  expect(bench.requests()).toHaveLength(5);
  expect((await bench.row(key)).retry_at).toBeGreaterThan(bench.clock.now() + 20_000);
});

describe('where tokens do not rotate', () => {
  it('a lost answer leaves the grant as it is, and tells the caller what came', async () => {
    await using reset = await afterAnswer('none', { kind: 'reset', when: 'after' });
    expect(await reset.bench.events(reset.key)).toEqual(['stored']);
    expect(reset.error).toMatchObject({ code: 'provider_unavailable', reason: 'answer_lost' });
    await using html = await afterAnswer('none', { kind: 'html', when: 'after' });
    expect(html.error).toMatchObject({ code: 'provider_error', reason: 'unusable_answer' });
    expect(html.error.message).toMatch(/no usable answer: ./);
    expect(reset.error.message).toMatch(/no usable answer\./);
    await expect(reset.vault.getAccessToken(reset.key)).rejects.toThrow('(the answer was lost)');
  });

  it('a throttled grant waits for the window of the limit, unless the provider names a time', async () => {
    await using limited = await afterAnswer('none', status(429), (each) => ({
      ...each,
      tokenLimit: { requests: 100, windowSeconds: 40 },
    }));
    expect(limited.error).toMatchObject({ code: 'provider_throttled', retryAfterMs: 40_000 });
    expect(await sentAt(limited, [35_000, 41_000])).toEqual([1, 2]);
    await using plain = await afterAnswer('none', status(429));
    expect(plain.error.retryAfterMs).toBe(60_000);
    await using named = await afterAnswer('none', status(429, { 'retry-after': '7' }));
    expect(named.error.retryAfterMs).toBe(7_000);
  });

  it('a failure of the provider is tried again after its back-off, or at the time that the provider names', async () => {
    await using own = await afterAnswer('none', status(503));
    expect(own.error).toMatchObject({ code: 'provider_unavailable', reason: 'unavailable' });
    expect(own.error.retryAfterMs).toBeLessThan(3_000);
    await using late = await afterAnswer('none', status(504));
    expect(late.error.retryAfterMs).toBeLessThan(3_000);
    expect(await sentAt(late, [3_000])).toEqual([2]);
    await using named = await afterAnswer('none', status(503, { 'retry-after': '90' }));
    expect(named.error.retryAfterMs).toBe(90_000);
    expect(await sentAt(named, [80_000, 91_000])).toEqual([1, 2]);
  });
});

it('an answer of which nothing was dropped is saved without a warning', async () => {
  await using bench = await makeBench();
  const warnings: string[] = [];
  const { vault } = await bench.open({ logger: { ...silentLogger, warn: (text) => void warnings.push(text) } });
  const { key } = await bench.connect(vault);
  const before = warnings.length;
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect(warnings.slice(before)).toEqual([]);
});

/** A body whose connection breaks in the middle. */
function brokenOff(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"error":'));
      controller.error(new Error('The connection broke.'));
    },
  });
}

const isSeconds = (ms: unknown): boolean => typeof ms === 'number' && ms <= 5_000;

/** A grant whose first refresh met `effect`, with the error that its caller got. */
async function afterAnswer(
  id: string,
  effect: FaultEffect,
  change: (each: ProviderDefinitionInput) => ProviderDefinitionInput = (each) => each,
) {
  const bench = await makeBench({ profiles: [id], change });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider: id });
  bench.simulator.faults.add({ endpoint: 'token', effect });
  const error = await vault.getAccessToken(key).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (!isGrantryError(error)) throw new Error(`the refresh did not fail: ${String(error)}`);
  return { bench, vault, key, error, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

type Met = Pick<Awaited<ReturnType<typeof afterAnswer>>, 'bench' | 'vault' | 'key'>;

/** Counts the requests after a caller asked, at times after the first answer. */
async function sentAt({ bench, vault, key }: Met, times: readonly number[]): Promise<number[]> {
  const sent: number[] = [];
  let passed = 0;
  for (const at of times) {
    await bench.jump(at - passed);
    passed = at;
    await vault.getAccessToken(key).catch(() => {});
    sent.push(bench.requests().length);
  }
  return sent;
}
