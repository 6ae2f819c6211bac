import type { Hono, Context as HonoContext } from 'hono';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { withTimeout } from '../vault/deadline.ts';
import { assertReady } from '../vault/upkeep/readiness.ts';
import { type ServerContext, vaultContext } from './context.ts';
import { assertMay } from './principal.ts';
import { problemResponse } from './problem.ts';
import { responseOf } from './route.ts';
import { noteCaller, outgoingOf } from './telemetry/watch.ts';

/** Many probes may ask at once: the database is checked once a second at most. */
const readinessHeldMs = 1_000;

/** A probe waits no longer to learn whether it may see details. */
const keyLookUpMs = 300;

export interface StatusOptions {
  readonly draining: () => boolean;
  readonly description: string;
}

/** Adds liveness, readiness, the API's description and metrics. Only the metrics want a key. */
export function mountStatus(app: Hono, context: ServerContext, options: StatusOptions): void {
  const ready = readiness(context, options.draining);
  app.get('/livez', () => responseOf({ status: 200, body: { status: 'alive' } }));
  app.get('/readyz', (request) => answerReady(context, ready, request));
  app.get('/metrics', (request) => answerMetrics(context, request));
  app.get(
    '/openapi.json',
    () => new Response(options.description, { headers: { 'content-type': 'application/json' } }),
  );
}

async function answerReady(
  context: ServerContext,
  ready: () => Promise<void>,
  request: HonoContext,
): Promise<Response> {
  try {
    await ready();
    return responseOf({ status: 200, body: { status: 'ready' } });
  } catch (error) {
    const known = isGrantryError(error)
      ? error
      : new GrantryError('internal', 'This server cannot determine whether it is ready.');
    // The exact reason is for operators; any other caller gets only the code.
    const told = await maySeeDetails(context, request.req.header('authorization'));
    const detail = told ? known.message : 'This server is not ready.';
    return problemResponse(new GrantryError(known.code, detail, { retryAfterMs: readinessHeldMs }), 503);
  }
}

async function answerMetrics(context: ServerContext, request: HonoContext): Promise<Response> {
  const principal = await context.access.authenticate(request.req.header('authorization'));
  noteCaller(outgoingOf(request), { key: principal.id, tenant: undefined });
  assertMay(principal, 'see_metrics');
  const text = await context.metrics.render(context.vault());
  const headers = { 'content-type': context.metrics.contentType, 'cache-control': 'no-store' };
  return new Response(text, { headers });
}

/** Makes the readiness check. All calls within a second share one result. */
function readiness(context: ServerContext, draining: () => boolean): () => Promise<void> {
  let last: { readonly at: number; readonly outcome: Promise<void> } | undefined;
  return () => {
    if (draining())
      throw new GrantryError('storage_unavailable', 'This server is stopping.', { action: 'Use another server.' });
    const now = context.world.monotonic();
    if (last === undefined || now - last.at >= readinessHeldMs) {
      const outcome = (async () => assertReady(vaultContext(context)))();
      outcome.catch(() => {});
      last = { at: now, outcome };
    }
    return last.outcome;
  };
}

async function maySeeDetails(context: ServerContext, header: string | undefined): Promise<boolean> {
  if (header === undefined) return false;
  try {
    const known = Promise.resolve(context.access.authenticate(header));
    const late = (): GrantryError => new GrantryError('storage_unavailable', 'The key cannot be looked up in time.');
    assertMay(await withTimeout(context.world, known, keyLookUpMs, late), 'see_metrics');
    return true;
  } catch {
    // A caller that cannot be identified now does not see the details.
    return false;
  }
}
