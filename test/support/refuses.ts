import { expect } from 'vitest';
import { isGrantryError } from '../../src/base/errors.ts';

/** Expects a refusal with a code, with words of its message, and with an action. */
export async function refuses(promise: Promise<unknown>, code: string, message = ''): Promise<void> {
  const error = await promise.then(
    (value) => expect.unreachable(`it was not refused: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!isGrantryError(error)) throw error;
  expect(error.code).toBe(code);
  expect(error.message).toContain(message);
  expect(error.action).not.toBe('');
}
