import { Hono } from 'hono';
import { z } from 'zod';
import type { Simulator } from '../simulator.ts';
import { statusPage } from './page.ts';
import { clientSchema, consentSchema, faultSchema, userSchema, zohoSettingsSchema } from './schemas.ts';

const token = z.strictObject({ refreshToken: z.string().min(1) });
const ok = { ok: true };

/**
 * The control API under `/_sim/`, and the page at `/`: for tests and scripts in other processes and other languages.
 *
 * It answers on loopback alone and takes JSON alone, so that no page in a browser can use it behind the user's back.
 */
export function newControl(simulator: Simulator): Hono {
  const app = new Hono();
  app.use('*', async (context, next) => {
    const origin = context.req.header('origin');
    if (origin !== undefined && origin !== new URL(context.req.url).origin)
      return context.json({ error: 'another origin' }, 403);
    const reads = context.req.method === 'GET' || context.req.method === 'HEAD' || context.req.method === 'DELETE';
    if (!reads && !/^application\/json\b/.test(context.req.header('content-type') ?? '')) {
      return context.json({ error: 'the body must be application/json' }, 415);
    }
    return next();
  });
  app.onError((error, context) => {
    if (error instanceof z.ZodError) return context.json({ error: z.prettifyError(error) }, 400);
    return context.json({ error: error.message }, 400);
  });
  const page = (query: Record<string, string>): Response =>
    new Response(statusPage(simulator, query), {
      headers: {
        'content-type': 'text/html;charset=UTF-8',
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      },
    });
  app.get('/', (context) => page(context.req.query()));
  app.get('/_sim', (context) => page(context.req.query()));
  app.get('/_sim/', (context) => page(context.req.query()));
  addReading(app, simulator);
  addChanging(app, simulator);
  return app;
}

function addReading(app: Hono, simulator: Simulator): void {
  app.get('/_sim/origins', (context) => context.json(simulator.origins()));
  app.get('/_sim/definitions', (context) => context.json(simulator.definitionIds()));
  app.get('/_sim/definitions/:id', (context) => context.json(simulator.definition(context.req.param('id'))));
  app.get('/_sim/clients', (context) =>
    context.json(simulator.clients().map((client) => ({ ...client, secret: undefined, secrets: undefined }))),
  );
  app.get('/_sim/users', (context) => context.json(simulator.users()));
  app.get('/_sim/families', (context) => context.json(simulator.families()));
  app.get('/_sim/families/:id', (context) => {
    const family = simulator.family(context.req.param('id'));
    return family === null ? context.json({ error: 'no such family' }, 404) : context.json(family);
  });
  app.get('/_sim/faults', (context) => context.json(simulator.faults()));
  app.get('/_sim/clock', (context) => context.json({ now: simulator.clock.now(), offsetMs: simulator.clock.offsetMs }));
  app.get('/_sim/history', (context) => {
    const after = z.coerce.number().int().nonnegative().default(0).parse(context.req.query('after'));
    const limit = z.coerce.number().int().positive().max(100_000).default(1_000).parse(context.req.query('limit'));
    return context.json({ total: simulator.history.total, events: simulator.history.events(after).slice(0, limit) });
  });
  app.get('/_sim/history/duplicate-spends', (context) => context.json(simulator.history.duplicateSpends()));
  // A token never stands in a URL, so questions about one are asked by POST.
  app.post('/_sim/judge', async (context) => {
    const { refreshToken } = token.parse(await context.req.json());
    return context.json({
      alive: simulator.isAlive(refreshToken),
      family: simulator.familyOf(refreshToken),
      requests: simulator.history.requestsFor(refreshToken),
    });
  });
}

function addChanging(app: Hono, simulator: Simulator): void {
  app.post('/_sim/clients', async (context) => {
    simulator.addClient(clientSchema.parse(await context.req.json()));
    return context.json(ok, 201);
  });
  app.delete('/_sim/clients/:id', (context) => context.json({ ok: simulator.removeClient(context.req.param('id')) }));
  app.post('/_sim/users', async (context) => {
    simulator.addUser(userSchema.parse(await context.req.json()));
    return context.json(ok, 201);
  });
  app.post('/_sim/sign-in', async (context) => {
    simulator.signIn(z.strictObject({ user: z.string().nullable() }).parse(await context.req.json()).user);
    return context.json(ok);
  });
  app.post('/_sim/auto-approve', async (context) => {
    simulator.autoApprove = z.strictObject({ on: z.boolean() }).parse(await context.req.json()).on;
    return context.json(ok);
  });
  app.post('/_sim/codes', async (context) =>
    context.json({ code: simulator.mintCode(consentSchema.parse(await context.req.json())) }, 201),
  );
  app.post('/_sim/tokens', async (context) =>
    context.json(simulator.mintTokens(consentSchema.parse(await context.req.json())), 201),
  );
  app.post('/_sim/faults', async (context) =>
    context.json({ id: simulator.addFault(faultSchema.parse(await context.req.json())) }, 201),
  );
  app.delete('/_sim/faults', (context) => {
    simulator.clearFaults();
    return context.json(ok);
  });
  app.delete('/_sim/faults/:id', (context) =>
    context.json({ ok: simulator.removeFault(Number(context.req.param('id'))) }),
  );
  app.post('/_sim/clock', async (context) => {
    const { advanceMs } = z.strictObject({ advanceMs: z.number().int() }).parse(await context.req.json());
    simulator.clock.advance(advanceMs);
    return context.json({ now: simulator.clock.now(), offsetMs: simulator.clock.offsetMs });
  });
  app.post('/_sim/zoho', async (context) => {
    const scope = { dc: z.string().optional(), clientId: z.string().optional() };
    const { change, ...where } = z
      .strictObject({ change: zohoSettingsSchema.partial(), ...scope })
      .parse(await context.req.json());
    simulator.configureZoho(change, where);
    return context.json(ok);
  });
  app.post('/_sim/revoke', async (context) =>
    context.json({ ok: simulator.revoke(token.parse(await context.req.json()).refreshToken) }),
  );
  app.post('/_sim/disconnect', async (context) => {
    const { user, clientId } = z
      .strictObject({ user: z.string(), clientId: z.string().optional() })
      .parse(await context.req.json());
    return context.json({ revoked: simulator.disconnect(user, clientId) });
  });
  app.post('/_sim/active', async (context) => {
    const { user, active } = z.strictObject({ user: z.string(), active: z.boolean() }).parse(await context.req.json());
    simulator.setActive(user, active);
    return context.json(ok);
  });
  app.post('/_sim/kill', async (context) => {
    const { accessToken } = z.strictObject({ accessToken: z.string() }).parse(await context.req.json());
    return context.json({ ok: simulator.killAccessToken(accessToken) });
  });
  app.post('/_sim/reset', (context) => {
    simulator.reset();
    return context.json(ok);
  });
}
