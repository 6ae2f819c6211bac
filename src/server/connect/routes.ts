import type { Hono, Context as HonoContext } from 'hono';
import { errorCodes } from '../../base/errors.ts';
import { isPrefetch } from '../../base/network/prefetch.ts';
import type { Prove } from '../../vault/connect/enhanced.ts';
import { openConnectLink, readConnectSession, receiveConnectCallback, startConnect } from '../../vault/connect/flow.ts';
import type { ConnectOutcome } from '../../vault/connect/outcomes.ts';
import { internalsOf } from '../../vault/internals.ts';
import { type ServerContext, vaultContext } from '../context.ts';
import { readForm } from '../limits/body.ts';
import { addressOf } from '../limits/strangers.ts';
import { knownError, retryAfterHeader, retryAfterSeconds } from '../problem.ts';
import { browserCookie, formProof, isFormProof, newBrowser, readBrowser } from './browser-cookie.ts';
import { pageResponse, seeOther } from './page.ts';
import {
  endedPage,
  prefetchPage,
  refusalPage,
  type StatusPage,
  sessionPage,
  stalePage,
  startPage,
  troublePage,
} from './pages.ts';

const tokenPattern = /^[A-Za-z0-9_-]{43}$/;

/** Adds the browser's routes: the page of a link, the redirect to the provider, the callback, and the result. */
export function mountConnect(app: Hono, context: ServerContext): void {
  const answer = async (run: () => Promise<Response>, cameBack = false): Promise<Response> => {
    try {
      return await run();
    } catch (thrown) {
      const error = knownError(context.logger, thrown);
      const { status } = errorCodes[error.code];
      const headers = retryAfterHeader(retryAfterSeconds(error));
      return show(context, troublePage(error, status, { cameBack }), headers);
    }
  };
  app.get('/connect/:token', ({ req }) => answer(() => openLink(context, req.param('token'), req.raw)));
  app.post('/connect/:token', (request) => answer(() => pressButton(context, request.req.param('token'), request)));
  app.get('/connect/sessions/:id', ({ req }) => answer(() => showSession(context, req.param('id'), req.raw)));
  app.get('/oauth/callback/:context', ({ req }) =>
    answer(() => comeBack(context, req.param('context'), req.raw), true),
  );
}

/** Shows the page of a link. It starts nothing: link scanners open links before people do. */
async function openLink(context: ServerContext, token: string, request: Request): Promise<Response> {
  if (!tokenPattern.test(token)) return show(context, refusalPage('unknown_link'));
  const known = readBrowser(request);
  const offer = await context.strangers.look(() => openConnectLink(vaultContext(context), token, known));
  if (offer.kind === 'refused') return show(context, refusalPage(offer.reason));
  const browser = known ?? newBrowser(context.world);
  const page = startPage(offer, formProof(browser, token));
  return show(context, { status: 200, page }, { 'set-cookie': browserCookie(browser) });
}

/**
 * Handles the button. From now on the session belongs to this browser. The link and the browser are looked at before the
 * form is read: anybody can send forms.
 */
async function pressButton(context: ServerContext, token: string, pressed: HonoContext): Promise<Response> {
  if (!tokenPattern.test(token)) return show(context, refusalPage('unknown_link'));
  const request = pressed.req.raw;
  const browser = readBrowser(request);
  const stale = stalePage(`${new URL(context.publicUrl).pathname.replace(/\/$/, '')}/connect/${token}`);
  if (browser === null || !isOwnPage(context, request)) return show(context, stale);
  const offer = await context.strangers.look(() => openConnectLink(vaultContext(context), token, browser));
  if (offer.kind === 'refused') return show(context, refusalPage(offer.reason));
  const leave = context.strangers.enterForm(addressOf(pressed));
  const form = await readForm(request, context.world).finally(leave);
  if (!isFormProof(browser, token, form['proof'])) return show(context, stale);
  const started = await startConnect(vaultContext(context), context.publicUrl, { token, browser });
  if (started.kind === 'refused') return show(context, refusalPage(started.reason));
  return seeOther(started.url, { 'set-cookie': browserCookie(browser) });
}

/** Receives the browser from the provider. The address holds a code, so only a refusal is shown at it. */
async function comeBack(context: ServerContext, contextName: string, request: Request): Promise<Response> {
  // The router answers HEAD as GET without a body, and HEAD must not use up the code.
  if (request.method !== 'GET') return new Response(null, { status: 405, headers: { allow: 'GET' } });
  // Neither must a prefetch. After this answer the browser asks again when the person goes there.
  if (isPrefetch(Object.fromEntries(request.headers))) return show(context, prefetchPage);
  const { search } = new URL(request.url);
  const look = <T>(run: () => Promise<T>): Promise<T> => context.strangers.look(run);
  const came = { context: contextName, search, browser: readBrowser(request), look };
  const { handOut } = internalsOf(context.vault());
  const prove: Prove = (key, generation) => handOut.prove(key, generation);
  const outcome = await receiveConnectCallback(vaultContext(context), context.publicUrl, came, prove);
  if (outcome.kind === 'refused') return show(context, refusalPage(outcome.reason));
  if (outcome.kind === 'completed') internalsOf(context.vault()).forget(outcome.session);
  return onward(context, outcome);
}

async function onward(
  context: ServerContext,
  outcome: Exclude<ConnectOutcome, { kind: 'refused' }>,
): Promise<Response> {
  const { session } = outcome;
  if (outcome.kind === 'completed') return seeOther(`${context.publicUrl}/connect/sessions/${session.id}`);
  const news = outcome.kind === 'pending' ? { code: outcome.completionCode } : { error: outcome.error };
  if (session.returnTo !== null) return seeOther(withQuery(session.returnTo, { session: session.id, ...news }));
  const definition = await context.vault().providers.get(session.provider);
  const error = outcome.kind === 'ended' ? outcome.error : 'internal';
  return show(context, endedPage(error, session.detail, definition?.name ?? session.provider));
}

async function showSession(context: ServerContext, id: string, request: Request): Promise<Response> {
  const browser = readBrowser(request);
  // Without its browser no session is shown, so none is looked up.
  const offer =
    browser === null
      ? null
      : await context.strangers.look(() => readConnectSession(vaultContext(context), id, browser));
  return show(context, offer === null ? refusalPage('unknown_link') : sessionPage(offer));
}

function show(context: ServerContext, { status, page }: StatusPage, headers: Record<string, string> = {}): Response {
  return pageResponse(page, status, formScheme(context), headers);
}

/** A form leads to a provider: on https, or with the switch for simulators on http. */
function formScheme({ vault, publicUrl }: ServerContext): string {
  try {
    if (internalsOf(vault()).open().allowLoopback) return 'http:';
  } catch {
    // A vault that is not open leads nowhere.
  }
  return publicUrl;
}

/**
 * Checks that a form was sent by a page of this server, as far as the browser says. Our pages send no referrer, so their
 * origin is `null`; the proof in the form decides.
 */
function isOwnPage(context: ServerContext, request: Request): boolean {
  const site = request.headers.get('sec-fetch-site');
  const origin = request.headers.get('origin');
  if (site !== null && site !== 'same-origin') return false;
  return origin === null || origin === 'null' || origin === new URL(context.publicUrl).origin;
}

function withQuery(address: string, parameters: Record<string, string>): string {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}
