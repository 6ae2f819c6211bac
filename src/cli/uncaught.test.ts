import { expect, test } from 'vitest';
import { defectOf } from './uncaught.ts';

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
