import { Hono } from 'hono';
import { z } from 'zod';
import type { Simulator } from '../simulator.ts';
import { faultSchema } from '../state/faults.ts';
import { clientSchema, userSchema } from '../state/registry.ts';
import { count, text } from '../state/schema-parts.ts';
import { zohoSettingsSchema } from '../state/zoho-settings.ts';
import { connectedAppsPage, connectedAppsPath, pressButton } from './connected-apps.ts';
import { statusPage } from './page.ts';

const consentSchema = z.strictObject({
  profile: text.optional(),
  clientId: text,
  user: text,
  scopes: z.array(text).max(256),
  organization: text.optional(),
  lifeSeconds: count.optional(),
});
const tokenSchema = z.strictObject({ refreshToken: z.string().min(1) });
const clockSchema = z.strictObject({ advanceMs: z.number().int() });
const zohoSchema = z.strictObject({
  change: zohoSettingsSchema.partial(),
  dc: z.string().optional(),
  clientId: z.string().optional(),
});
const disconnectSchema = z.strictObject({ user: z.string(), clientId: z.string().optional() });
const activeSchema = z.strictObject({ user: z.string(), active: z.boolean() });
const signInSchema = z.strictObject({ user: z.string().nullable(), organization: z.string().nullable().optional() });
const slotsSchema = z.strictObject({ user: z.string(), clientId: z.string() });
const ok = { ok: true };

/**
 * Creates the control API under `/_sim/` and the page at `/`, for tests and scripts in other processes and languages.
 *
 * It only answers on loopback and only accepts JSON, so that no web page can use it behind the user's back.
 */
export function newControl(simulator: Simulator): Hono {
  const app = new Hono();
  app.use('*', async (context, next) => {
    const origin = context.req.header('origin');
    if (origin !== undefined && origin !== new URL(context.req.url).origin)
      return context.json({ error: 'another origin' }, 403);
    const reads = context.req.method === 'GET' || context.req.method === 'HEAD' || context.req.method === 'DELETE';
    // A form of another site carries another origin, and one without an origin is no browser's.
    const isOwnForm = origin !== undefined && context.req.path === connectedAppsPath;
    if (!reads && !isOwnForm && !/^application\/json\b/.test(context.req.header('content-type') ?? '')) {
      return context.json({ error: 'the body must be application/json' }, 415);
    }
    return next();
  });
  app.onError((error, context) => {
    if (error instanceof z.ZodError) return context.json({ error: z.prettifyError(error) }, 400);
    return context.json({ error: error.message }, 400);
  });
  const show = (markup: string): Response =>
    new Response(markup, {
      headers: {
        'content-type': 'text/html;charset=UTF-8',
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      },
    });
  const page = (query: Record<string, string>) => show(statusPage(simulator, query));
  app.get(connectedAppsPath, () => show(connectedAppsPage(simulator)));
  app.post(connectedAppsPath, async (context) => {
    pressButton(simulator, new URLSearchParams(await context.req.text()));
    return context.redirect(connectedAppsPath, 303);
  });
  app.get('/', (context) => page(context.req.query()));
  app.get('/_sim', (context) => page(context.req.query()));
  app.get('/_sim/', (context) => page(context.req.query()));
  addReading(app, simulator);
  addChanging(app, simulator);
  return app;
}

function addReading(app: Hono, simulator: Simulator): void {
  const { clock, faults, history, registry } = simulator;
  app.get('/_sim/origins', (context) => context.json(simulator.origins()));
  app.get('/_sim/definitions', (context) => context.json(simulator.definitionIds()));
  app.get('/_sim/definitions/:id', (context) => context.json(simulator.definition(context.req.param('id'))));
  app.get('/_sim/clients', (context) =>
    context.json(registry.clients().map((client) => ({ ...client, secret: undefined, secrets: undefined }))),
  );
  app.get('/_sim/users', (context) => context.json(registry.users()));
  app.get('/_sim/families', (context) => context.json(simulator.families()));
  app.get('/_sim/families/:id', (context) => {
    const family = simulator.family(context.req.param('id'));
    return family === null ? context.json({ error: 'no such family' }, 404) : context.json(family);
  });
  app.get('/_sim/faults', (context) => context.json(faults.pending()));
  app.get('/_sim/clock', (context) => context.json({ now: clock.now(), offsetMs: clock.offsetMs }));
  app.get('/_sim/history', (context) => {
    const after = z.coerce.number().int().nonnegative().default(0).parse(context.req.query('after'));
    const limit = z.coerce.number().int().positive().max(100_000).default(1_000).parse(context.req.query('limit'));
    return context.json({ total: history.total, events: history.events(after).slice(0, limit) });
  });
  app.get('/_sim/history/duplicate-spends', (context) => context.json(history.duplicateSpends()));
}

function addChanging(app: Hono, simulator: Simulator): void {
  const { clock, faults, registry, zoho } = simulator;
  const post = <T>(path: string, schema: z.ZodType<T>, run: (body: T) => object | void, status: 200 | 201 = 200) =>
    app.post(path, async (context) => context.json(run(schema.parse(await context.req.json())) ?? ok, status));

  // A token never appears in a URL, so this question is a POST.
  post('/_sim/judge', tokenSchema, ({ refreshToken }) => ({
    alive: simulator.isAlive(refreshToken),
    family: simulator.familyOf(refreshToken),
    requests: simulator.history.requestsFor(refreshToken),
  }));
  post('/_sim/clients', clientSchema, (client) => registry.addClient(client), 201);
  app.delete('/_sim/clients/:id', (context) => context.json({ ok: simulator.removeClient(context.req.param('id')) }));
  post('/_sim/users', userSchema, (user) => void registry.addUser(user), 201);
  post('/_sim/sign-in', signInSchema, ({ user, organization }) => registry.signIn(user, organization));
  post('/_sim/slots', slotsSchema, ({ user, clientId }) => simulator.slots(user, clientId));
  post('/_sim/auto-approve', z.strictObject({ on: z.boolean() }), ({ on }) => {
    registry.autoApprove = on;
  });
  post('/_sim/codes', consentSchema, (consent) => ({ code: simulator.mintCode(consent) }), 201);
  post('/_sim/tokens', consentSchema, (consent) => simulator.mintTokens(consent), 201);
  post('/_sim/faults', faultSchema, (fault) => ({ id: faults.add(fault) }), 201);
  app.delete('/_sim/faults', (context) => {
    faults.clear();
    return context.json(ok);
  });
  app.delete('/_sim/faults/:id', (context) => context.json({ ok: faults.remove(Number(context.req.param('id'))) }));
  post('/_sim/clock', clockSchema, ({ advanceMs }) => {
    clock.advance(advanceMs);
    return { now: clock.now(), offsetMs: clock.offsetMs };
  });
  post('/_sim/zoho', zohoSchema, ({ change, ...scope }) => zoho.change(change, scope));
  post('/_sim/revoke', tokenSchema, ({ refreshToken }) => ({ ok: simulator.revoke(refreshToken) }));
  post('/_sim/disconnect', disconnectSchema, ({ user, clientId }) => ({
    revoked: simulator.disconnect(user, clientId),
  }));
  post('/_sim/active', activeSchema, ({ user, active }) => registry.setActive(user, active));
  post('/_sim/kill', z.strictObject({ accessToken: z.string() }), ({ accessToken }) => ({
    ok: simulator.killAccessToken(accessToken),
  }));
  app.post('/_sim/reset', (context) => {
    simulator.reset();
    return context.json(ok);
  });
}
