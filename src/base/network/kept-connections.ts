import { subscribe } from 'node:diagnostics_channel';

/** The connections that have carried a request. */
const used = new WeakSet<object>();
let waiting: ((isKept: boolean) => void) | undefined;
let isSubscribed = false;

/**
 * Tells the request that starts now whether its connection has carried an earlier one: only such a connection can have
 * ended while it was idle.
 *
 * The HTTP client names the connection of a request on a diagnostics channel only, in the same turn in which it says that
 * the request starts.
 */
export function noteStart(tell: (isKept: boolean) => void): void {
  if (!isSubscribed) subscribe('undici:client:sendHeaders', noteConnection);
  isSubscribed = true;
  waiting = tell;
}

function noteConnection(message: unknown): void {
  const told = waiting;
  waiting = undefined;
  const socket: unknown = typeof message === 'object' && message !== null ? Reflect.get(message, 'socket') : undefined;
  if (typeof socket !== 'object' || socket === null) return;
  told?.(used.has(socket));
  used.add(socket);
}
