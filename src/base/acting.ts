import { AsyncLocalStorage } from 'node:async_hooks';
import { userInfo } from 'node:os';

/** The one who does something: an API key, a user of this machine, a worker, or the browser of a connect session. */
export interface Actor {
  readonly kind: 'key' | 'user' | 'worker' | 'session';
  readonly id: string;
  readonly name: string | null;
}

/** An actor, the place it acts from, and the reason. */
export interface Acting {
  readonly actor: Actor;
  /** `cli`, `library`, `worker`, or `http` and the address of the caller. */
  readonly source: string;
  /** The reason that a person gave. */
  readonly reason?: string | undefined;
}

const store = new AsyncLocalStorage<Acting>();

/** Runs something on behalf of an actor: every change in it names the actor. */
export function actingAs<T>(acting: Acting, run: () => T): T {
  return store.run(acting, run);
}

/** The user of this machine that runs the program, as the system names it. */
export function userOfMachine(): Actor {
  try {
    return { kind: 'user', id: userInfo().username, name: null };
  } catch {
    // In a container a user may be a bare number.
    return { kind: 'user', id: `uid ${process.getuid?.() ?? 'unknown'}`, name: null };
  }
}

/** On whose behalf this code runs; undefined for the program itself. */
export function actingNow(): Acting | undefined {
  return store.getStore();
}
