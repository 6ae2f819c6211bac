import { describe, expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { systemWorld } from '../base/system-world.ts';
import { defectOf, endOnUncaught } from './uncaught.ts';

test('an error is logged by its kind and its place, not by its message', () => {
  const { kind, at } = defectOf(new TypeError('the token s3cr3t\n    at s3cr3t (s3cr3t:1:1)\nis not a function'));
  expect(kind).toBe('TypeError');
  expect(at).toMatch(/^at .*uncaught\.test\.ts/);
  expect(at).not.toContain('s3cr3t');
});

test('any other thrown value is logged only by its type', () => {
  expect(defectOf('s3cr3t')).toEqual({ kind: 'string', at: null });
  expect(defectOf(undefined)).toEqual({ kind: 'undefined', at: null });
});

describe('a program with a defect', () => {
  /** Puts a defect into this process as Node would report it, and removes the listeners afterwards. */
  async function inject(windDown: () => Promise<void>, defects = 1): Promise<{ exits: number; logged: string[] }> {
    const former = {
      uncaught: process.listeners('uncaughtException'),
      rejected: process.listeners('unhandledRejection'),
    };
    process.removeAllListeners('uncaughtException').removeAllListeners('unhandledRejection');
    const logged: string[] = [];
    const logger = { ...silentLogger, error: (message: string) => logged.push(message) };
    let exits = 0;
    try {
      endOnUncaught({ logger, world: systemWorld() }, windDown, () => (exits += 1));
      for (let at = 0; at < defects; at += 1) process.emit('unhandledRejection', new TypeError('x'), Promise.resolve());
      await new Promise((resolve) => setTimeout(resolve, 30));
      return { exits, logged };
    } finally {
      process.removeAllListeners('uncaughtException').removeAllListeners('unhandledRejection');
      for (const listener of former.uncaught) process.on('uncaughtException', listener);
      for (const listener of former.rejected) process.on('unhandledRejection', listener);
    }
  }

  test('waits for the answers that are under way, and then ends', async () => {
    const waiting = Promise.withResolvers<void>();
    expect(await inject(() => waiting.promise)).toMatchObject({ exits: 0 });
    waiting.resolve();
    expect(await inject(async () => {})).toMatchObject({ exits: 1 });
  });

  test('winds down once, however many defects follow', async () => {
    let begun = 0;
    const { exits, logged } = await inject(async () => void (begun += 1), 3);
    expect({ begun, exits, logged: logged.length }).toEqual({ begun: 1, exits: 1, logged: 3 });
  });

  test('ends when winding down fails', async () => {
    const ended = await inject(() => Promise.reject(new Error('broken')));
    expect(ended).toEqual({ exits: 1, logged: ['a defect ends this program', 'this program could not end in order'] });
  });
});
