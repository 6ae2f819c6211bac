import { Client } from 'pg';

/** A query that takes longer waits for a lock or a cut wire, so a test cannot wait for it. */
const youngMs = 400;

const begun = new Set<{ readonly at: number }>();
const query: unknown = Reflect.get(Client.prototype, 'query');
if (typeof query !== 'function') throw new Error('pg has another way to ask');

// The store's own connections are meant: nothing else tells how many of their queries are under way.
Object.defineProperty(Client.prototype, 'query', {
  configurable: true,
  writable: true,
  value: function counted(this: Client, ...args: unknown[]): unknown {
    const answer: unknown = Reflect.apply(query, this, args);
    if (answer instanceof Promise) count(answer);
    return answer;
  },
});

function count(answer: Promise<unknown>): void {
  const entry = { at: performance.now() };
  const end = (): boolean => begun.delete(entry);
  begun.add(entry);
  answer.then(end, end);
}

/** True while this process waits for its disk, or for a query that PostgreSQL is likely to answer soon. */
export function isBusy(): boolean {
  const bound = performance.now() - youngMs;
  if ([...begun].some(({ at }) => at > bound)) return true;
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
}
