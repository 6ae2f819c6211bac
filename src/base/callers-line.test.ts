import { types } from 'node:util';
import { describe, expect, it } from 'vitest';
import { forCaller, nameCallers } from './callers-line.ts';
import { GrantryError, isGrantryError } from './errors.ts';

const response = { status: 400, data: { error: 'a' } };

async function failed(): Promise<GrantryError> {
  const cause = new Error('behind it');
  return new GrantryError('provider_misconfigured', 'It is refused.', {
    action: 'Look.',
    reason: 'client_refused',
    retryAfterMs: 5,
    response,
    cause,
  });
}

/** Fails with the error, as work that several callers share. */
const sharing = (thrown: unknown): Promise<never> => forCaller(Promise.reject(thrown));

async function oneCaller(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return error;
  }
}

async function otherCaller(work: Promise<unknown>): Promise<unknown> {
  return await oneCaller(work);
}

describe('an error of shared work', () => {
  it('is copied for each caller, and names the line of that one', async () => {
    const shared = await failed();
    const before = shared.stack;
    const [one, other] = await Promise.all([oneCaller(sharing(shared)), otherCaller(sharing(shared))]);
    if (!isGrantryError(one) || !isGrantryError(other)) throw new Error('it is another error');
    expect([one, other, shared].every((error, index, all) => all.indexOf(error) === index)).toBe(true);
    expect(shared.stack).toBe(before);
    expect(one.stack).toContain(before);
    expect([one.stack?.includes('oneCaller'), one.stack?.includes('otherCaller')]).toEqual([true, false]);
    expect([other.stack?.includes('oneCaller'), other.stack?.includes('otherCaller')]).toEqual([true, true]);
  });

  it('keeps everything else of it', async () => {
    const shared = await failed();
    const copy = await oneCaller(sharing(shared));
    if (!isGrantryError(copy, 'provider_misconfigured')) throw new Error('it is another error');
    expect(types.isNativeError(copy)).toBe(true);
    const { stack: _, ...members } = Object.getOwnPropertyDescriptors(copy);
    const { stack: __, ...wanted } = Object.getOwnPropertyDescriptors(shared);
    expect(members).toEqual(wanted);
    expect(copy.cause).toBe(shared.cause);
    expect(copy.response).toBe(response);
  });

  it('gets no line twice at a second door', async () => {
    const again = await oneCaller(forCaller(sharing(await failed())));
    const lines = isGrantryError(again) ? (again.stack ?? '').split('\n') : [];
    expect(lines.filter((line) => line.includes('oneCaller'))).toHaveLength(1);
  });

  it('reaches the caller as it was made if it is no GrantryError', async () => {
    const abort = new DOMException('stop', 'AbortError');
    expect(await oneCaller(sharing(abort))).toBe(abort);
    expect(await oneCaller(sharing('a text'))).toBe('a text');
  });
});

it('every method of an API names its callers, and does what it did', async () => {
  const shared = await failed();
  class Api {
    readonly #twice = 2;
    async fails(): Promise<never> {
      throw shared;
    }
    async doubled(value: number): Promise<number> {
      return value * this.#twice;
    }
    async *counted(): AsyncGenerator<number> {
      yield this.#twice;
    }
    get own(): number {
      return this.#twice;
    }
    async itself(): Promise<never> {
      throw shared;
    }
  }
  nameCallers(Api.prototype, ['itself']);
  const api = new Api();
  expect(await api.doubled(4)).toBe(8);
  expect(await api.counted().next()).toEqual({ value: 2, done: false });
  expect(api.own).toBe(2);
  const error = await oneCaller(api.fails());
  expect(error).not.toBe(shared);
  expect(isGrantryError(error) && error.stack?.includes('oneCaller')).toBe(true);
  expect(await oneCaller(api.itself())).toBe(shared);
});
