import type { GrantryError } from '../../base/errors.ts';
import type { ConnectOffer, ConnectRefusal } from '../../vault/connect/outcomes.ts';
import type { Page } from './page.ts';

/** A page, and the status with which it is answered. */
export interface StatusPage {
  readonly status: number;
  readonly page: Page;
}

const askForNewLink = 'Ask the sender of the link for a new one.';
const openAgain = 'Open the link again and press its button.';

/** The page of a link. Nothing happens until the button is pressed. */
export function startPage({ session, providerName }: ConnectOffer, proof: string): Page {
  const back = session.returnTo === null ? '' : ` Afterwards you return to ${new URL(session.returnTo).host}.`;
  return {
    tone: 'plain',
    title: `Connect to ${providerName}`,
    text: `${providerName} asks you to sign in and to allow access.${back}`,
    facts: factsOf(session, providerName),
    list:
      session.addScopes === null
        ? { title: 'Requested access', items: session.scopes }
        : { title: 'Further access', items: session.addScopes },
    form: { button: `Continue to ${providerName}`, fields: { proof } },
    note: 'Continue only if you want to connect this organisation. If you did not expect this link, close this page: nothing has happened.',
  };
}

/** The state of a session, for the browser that it belongs to. */
export function sessionPage(offer: ConnectOffer): StatusPage {
  const { session, providerName, orgName } = offer;
  const connected: [string, string][] = orgName === undefined ? [] : [[`Organisation at ${providerName}`, orgName]];
  const narrower = session.narrower ?? [];
  if (session.state === 'completed') {
    return good({
      tone: 'good',
      title: 'Connected',
      text: `${session.tenant} is connected to ${providerName}. You can close this page.`,
      facts: [...factsOf(session, providerName), ...connected],
      ...(narrower.length === 0 ? {} : { list: { title: 'Requested but not granted', items: narrower, open: true } }),
    });
  }
  if (session.state === 'pending') {
    return good({
      tone: 'plain',
      title: 'Almost connected',
      text: `${providerName} has granted access. The connection is complete when the application that sent you here confirms it.`,
    });
  }
  if (session.state === 'failed' || session.state === 'expired') {
    return bad('Not connected', `The connection failed or expired. ${askForNewLink}`, 410);
  }
  return good({ tone: 'plain', title: 'Not connected yet', text: `${openAgain} The link works until it expires.` });
}

const refusals: Readonly<Record<ConnectRefusal, StatusPage>> = {
  unknown_link: bad('This link is not valid', `The link may be incomplete: copy all of it. ${askForNewLink}`, 404),
  expired_link: bad('This link has expired', `A link works only for a short time. ${askForNewLink}`, 410),
  used_link: bad(
    'This link was already used',
    `A link works once. If you did not use it, tell the sender. ${askForNewLink}`,
    410,
  ),
  connected_already: {
    status: 200,
    page: {
      tone: 'good',
      title: 'Already connected',
      text: 'This link was already used to connect. You can close this page.',
    },
  },
  link_of_another_browser: bad(
    'This link was opened in another browser',
    `Continue in the browser in which its button was pressed first. ${askForNewLink}`,
    403,
  ),
  started_too_often: bad('This link was tried too often', askForNewLink, 429),
  unreadable_callback: notConnected(`The provider's answer could not be read. Nothing was changed. ${openAgain}`),
  unknown_state: bad(
    'This answer belongs to no connection',
    `Nothing was changed. The connection may be too old, or was not started here. ${openAgain}`,
  ),
  used_state: bad(
    'This answer was already used',
    'Each answer of a provider works once, and this one led to no connection. Open the link again.',
  ),
  expired_state: bad('That took too long', `You must sign in within ten minutes. Nothing was changed. ${openAgain}`),
  state_of_a_terminal: bad(
    'Continue in the terminal',
    'This connection was started from a command line. Copy the whole address of this page and paste it there.',
  ),
  state_of_another_browser: bad(
    'This is another browser',
    `Finish in the browser in which you started, with cookies allowed. Nothing was changed. ${openAgain}`,
  ),
  state_of_another_app: bad(
    'This answer came to the wrong address',
    `The answer was refused because it belongs to another app. ${openAgain} If it happens again, tell the sender of the link.`,
  ),
  not_from_the_provider: bad(
    'This answer was refused',
    `The answer did not come from the provider, so it was not used. ${openAgain} If it happens again, tell the sender of the link.`,
  ),
  not_registered_there: bad(
    'The app is not registered there',
    'Your account is in a data centre for which the app has no registration, so the answer was not used. Tell the sender of the link.',
  ),
  changed_meanwhile: bad(
    'The settings were changed meanwhile',
    `The provider or the app was changed while you signed in, so the answer was not used. ${openAgain}`,
  ),
  finished_already: bad(
    'This was finished in another tab',
    'The connection continued in another tab or window. See the result there; you can close this page.',
  ),
};

/** The page of a refusal: the reason, and what to do. */
export function refusalPage(reason: ConnectRefusal): StatusPage {
  return refusals[reason];
}

/** The page for a browser that loads a callback before the person goes there. */
export const prefetchPage: StatusPage = bad('Not yet', 'This page does not load in advance. Nothing was changed.', 503);

/** The page for a form that does not come from the page that this browser was given. */
export function stalePage(path: string): StatusPage {
  return {
    status: 403,
    page: {
      tone: 'bad',
      title: 'Please try again',
      text: 'This page was out of date, or your browser blocks its cookies. Nothing has happened.',
      link: { text: 'Open the page again', href: path },
      note: 'If this happens again, allow cookies for this site.',
    },
  };
}

/** The page for a flow that the provider or the exchange ended. */
export function endedPage(error: string, detail: string | null, providerName: string): StatusPage {
  const { status, page } = endedAs(error, providerName);
  // The sender of the link needs the provider's own words. A person who declined knows why.
  const isNews = detail !== null && error !== 'access_denied';
  return { status, page: isNews ? { ...page, note: `For the sender of the link: ${detail}` } : page };
}

function endedAs(error: string, providerName: string): StatusPage {
  if (error === 'access_denied') {
    return notConnected(
      `You declined at ${providerName}, so nothing was connected. If that was a mistake: ${lower(openAgain)}`,
    );
  }
  if (error === 'invalid_scope' || error === 'insufficient_scope') {
    return notConnected(
      `${providerName} does not grant the requested access to this account. Sign in with an account that may grant it, or tell the sender of the link.`,
    );
  }
  if (error === 'provider_misconfigured' || error === 'unauthorized_client' || error === 'invalid_request') {
    return notConnected(
      `${providerName} refuses this application. Tell the sender of the link: the app's registration at the provider must be corrected.`,
    );
  }
  if (
    error === 'provider_unavailable' ||
    error === 'provider_throttled' ||
    error === 'server_error' ||
    error === 'temporarily_unavailable'
  ) {
    return notConnected(`${providerName} is not available at the moment. Wait a minute. ${openAgain}`);
  }
  return notConnected(`${providerName} did not complete the connection. Nothing was changed. ${openAgain}`);
}

/** The page for a failure of ours. After the callback the provider's answer may already have been used. */
export function troublePage(error: GrantryError, status: number, options: { cameBack: boolean }): StatusPage {
  if (error.retryable || status === 503) {
    const text = options.cameBack
      ? "It is not certain yet that anything was connected. The provider's answer is kept. Wait a minute, then reload this page."
      : 'Nothing has happened yet. Wait a minute, then open the link again.';
    return bad('Not available at the moment', text, status);
  }
  return bad(
    'This does not work',
    `The connection is not set up correctly. Tell the sender of the link (${error.code}).`,
    status,
  );
}

function factsOf(session: ConnectOffer['session'], providerName: string): [string, string][] {
  const facts: [string, string][] = [
    ['Organisation', session.tenant],
    ['Service', providerName],
  ];
  if (session.account !== 'default') facts.push(['Account', session.account]);
  return facts;
}

function good(page: Page): StatusPage {
  return { status: 200, page };
}

function bad(title: string, text: string, status = 400): StatusPage {
  return { status, page: { tone: 'bad', title, text } };
}

function notConnected(text: string): StatusPage {
  return bad('Not connected', text);
}

function lower(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
