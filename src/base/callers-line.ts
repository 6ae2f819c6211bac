import { GrantryError } from './errors.ts';

/**
 * Gives the caller an error of its own, whose stack trace names the caller's line.
 *
 * Callers who share one refresh share its error, whose trace ends where the refresh began. It is copied here, where V8 still
 * knows who awaits. The shared error is not changed.
 */
export async function forCaller<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    // Anything else, such as an abort, reaches the caller as it was made.
    throw error instanceof GrantryError ? withCallers(error) : error;
  }
}

/**
 * Lets every method of an API, or of a class's prototype, throw errors that name the caller's line.
 *
 * @param except methods that do so themselves
 */
export function nameCallers<Api extends object>(api: Api, except: readonly (string & keyof Api)[] = []): Api {
  const skipped: readonly unknown[] = ['constructor', ...except];
  for (const name of Reflect.ownKeys(api)) {
    const method: unknown = Object.getOwnPropertyDescriptor(api, name)?.value;
    if (typeof method !== 'function' || skipped.includes(name)) continue;
    const value = function (this: unknown, ...given: unknown[]): unknown {
      const returned: unknown = Reflect.apply(method, this, given);
      return returned instanceof Promise ? forCaller(returned) : returned;
    };
    Object.defineProperty(api, name, { value });
  }
  return api;
}

/** Copies an error: a trace gets the lines of those who await {@link forCaller} below its own. */
function withCallers(error: GrantryError): Error {
  const callers = { stack: '' };
  Error.captureStackTrace(callers, forCaller);
  const { stack: own = '' } = error;
  const [, ...lines] = callers.stack.split('\n');
  const stack = [own, ...lines.filter((line) => !own.includes(line))].join('\n');
  const copy = new Error(error.message);
  Object.setPrototypeOf(copy, Object.getPrototypeOf(error));
  for (const name of Reflect.ownKeys(error)) {
    const member = Object.getOwnPropertyDescriptor(error, name);
    if (member !== undefined && name !== 'stack') Object.defineProperty(copy, name, member);
  }
  return Object.defineProperty(copy, 'stack', { value: stack });
}
