import type { Hono } from 'hono';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { assertReady } from '../vault/readiness.ts';
import { type ServerContext, vaultContext } from './context.ts';
import { problemResponse } from './problem.ts';

/** Probes come from many sides: the database is asked once a second at most. */
const readinessHeldMs = 1_000;

export interface StatusOptions {
  readonly draining: () => boolean;
  readonly description: string;
}

/** The open routes: whether the process lives, whether it can work, and what it can do. */
export function mountStatus(app: Hono, context: ServerContext, options: StatusOptions): void {
  let last: { readonly at: number; readonly outcome: Promise<void> } | undefined;
  const ready = (): Promise<void> => {
    const now = context.world.monotonic();
    if (last === undefined || now - last.at >= readinessHeldMs) {
      const outcome = (async () => assertReady(vaultContext(context)))();
      // Whoever asks within the second gets the same answer, and nobody may ask at all.
      outcome.catch(() => {});
      last = { at: now, outcome };
    }
    return last.outcome;
  };
  app.get('/livez', () => plain({ status: 'alive' }));
  app.get('/readyz', async () => {
    if (options.draining()) return problemResponse(new GrantryError('storage_unavailable', 'This server is stopping.'));
    try {
      await ready();
      return plain({ status: 'ready' });
    } catch (error) {
      const known = isGrantryError(error)
        ? error
        : new GrantryError('internal', 'This server cannot say whether it is ready.');
      // What exactly is wrong stands in the log; a stranger is told the kind alone.
      return problemResponse(
        new GrantryError(known.code, 'This server is not ready.', { retryAfterMs: readinessHeldMs }),
        503,
      );
    }
  });
  app.get(
    '/openapi.json',
    () => new Response(options.description, { headers: { 'content-type': 'application/json' } }),
  );
}

function plain(body: unknown): Response {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  return new Response(JSON.stringify(body), { headers });
}
