import type { GrantryError } from '../../base/errors.ts';
import type { ConnectOffer, ConnectRefusal } from '../../vault/connect/flow.ts';
import type { Page } from './page.ts';

/** A page, and the status with which it is answered. */
export interface StatusPage {
  readonly status: number;
  readonly page: Page;
}

const askForNewLink = 'Ask whoever gave you the link for a new one.';
const openAgain = 'Open the link that you were given once more and press its button.';

/** What a link opens: nothing happens until the button is pressed. */
export function startPage({ session, providerName }: ConnectOffer, proof: string): Page {
  const back = session.returnTo === null ? '' : ` Afterwards you come back to ${new URL(session.returnTo).host}.`;
  return {
    tone: 'plain',
    title: `Connect to ${providerName}`,
    text: `${providerName} will ask you to sign in and to allow the access.${back}`,
    facts: factsOf(session, providerName),
    list: { title: 'What is asked for', items: session.scopes },
    form: { button: `Continue to ${providerName}`, fields: { proof } },
    note: 'Go on only if you wanted to connect this organisation yourself. If the link came unexpectedly, close this page: nothing has happened.',
  };
}

/** How a session stands, for the browser that is bound to it. */
export function sessionPage(offer: ConnectOffer): StatusPage {
  const { session, providerName } = offer;
  const narrower = session.narrower ?? [];
  if (session.state === 'completed') {
    return good({
      tone: 'good',
      title: 'Connected',
      text: `${session.tenant} is connected to ${providerName}. You can close this page.`,
      facts: factsOf(session, providerName),
      ...(narrower.length === 0 ? {} : { list: { title: 'Asked for and not allowed', items: narrower, open: true } }),
    });
  }
  if (session.state === 'pending') {
    return good({
      tone: 'plain',
      title: 'Almost connected',
      text: `${providerName} has given access. The connection counts as soon as the application that sent you here confirms it.`,
    });
  }
  if (session.state === 'failed' || session.state === 'expired') {
    return bad(410, 'Not connected', `This connection has ended without success. ${askForNewLink}`);
  }
  return good({ tone: 'plain', title: 'Not connected yet', text: `${openAgain} It works until it expires.` });
}

const refusals: Readonly<Record<ConnectRefusal, StatusPage>> = {
  unknown_link: bad(
    404,
    'This link leads nowhere',
    `It may be cut off: copy it whole, up to its last character. ${askForNewLink}`,
  ),
  expired_link: bad(410, 'This link has expired', `A link works for a short time only. ${askForNewLink}`),
  used_link: bad(
    410,
    'This link was used already',
    `A link connects once. If you did not do that yourself, tell whoever gave it to you. ${askForNewLink}`,
  ),
  connected_already: {
    status: 200,
    page: { tone: 'good', title: 'Connected already', text: 'This link has done its work. You can close this page.' },
  },
  link_of_another_browser: bad(
    403,
    'This link was opened in another browser',
    `It belongs to the browser in which its button was pressed first. Go on there. ${askForNewLink}`,
  ),
  started_too_often: bad(429, 'This link was tried too often', askForNewLink),
  unreadable_callback: bad(
    400,
    'Not connected',
    `The provider sent you back with an answer that cannot be read. Nothing was changed. ${openAgain}`,
  ),
  unknown_state: bad(
    400,
    'This answer belongs to no connection',
    `Nothing was changed. It may be very old, or it was not started here. ${openAgain}`,
  ),
  used_state: bad(
    400,
    'This answer was used already',
    'Each answer of a provider counts once, so going back or reloading does nothing. If you are not connected yet, open the link that you were given once more.',
  ),
  expired_state: bad(
    400,
    'That took too long',
    `Signing in must be done within ten minutes. Nothing was changed. ${openAgain}`,
  ),
  state_of_a_terminal: bad(
    400,
    'Go on in the terminal',
    'This connection was started from a command line. Copy the whole address of this page and paste it there.',
  ),
  state_of_another_browser: bad(
    400,
    'This is not the browser that started',
    `A connection must be finished in the browser in which it was begun, with cookies allowed. Nothing was changed. ${openAgain}`,
  ),
  state_of_another_app: bad(
    400,
    'This answer went astray',
    `It arrived at an address that it does not belong to, and was refused. ${openAgain} If it happens again, tell whoever gave you the link.`,
  ),
  not_from_the_provider: bad(
    400,
    'This answer was refused',
    `It does not come from where the question went, so it was not used. ${openAgain} If it happens again, tell whoever gave you the link.`,
  ),
  finished_already: bad(
    400,
    'This was finished in another tab',
    'The connection went on in another tab or window. What that one says counts; this page can be closed.',
  ),
};

/** Why a browser may not go on, and what to do. */
export function refusalPage(reason: ConnectRefusal): StatusPage {
  return refusals[reason];
}

/** The form did not come from the page that this browser was given. */
export function stalePage(path: string): StatusPage {
  return {
    status: 403,
    page: {
      tone: 'bad',
      title: 'Please try once more',
      text: 'This page was out of date, or your browser keeps no cookies for it. Nothing has happened.',
      link: { text: 'Open the page again', href: path },
      note: 'If this comes back, allow cookies for this site.',
    },
  };
}

/** The provider or the exchange ended the flow. */
export function endedPage(error: string, providerName: string): StatusPage {
  if (error === 'access_denied') {
    return bad(
      400,
      'Not connected',
      `You declined at ${providerName}, so nothing was connected. If that was a mistake: ${lower(openAgain)}`,
    );
  }
  if (error === 'invalid_scope' || error === 'insufficient_scope') {
    return bad(
      400,
      'Not connected',
      `${providerName} does not give this account what was asked for. Sign in with an account that may grant it, or tell whoever gave you the link.`,
    );
  }
  if (error === 'provider_misconfigured' || error === 'unauthorized_client' || error === 'invalid_request') {
    return bad(
      400,
      'Not connected',
      `${providerName} refuses this application. Tell whoever gave you the link: its registration at the provider must be mended.`,
    );
  }
  if (
    error === 'provider_unavailable' ||
    error === 'provider_throttled' ||
    error === 'server_error' ||
    error === 'temporarily_unavailable'
  ) {
    return bad(400, 'Not connected', `${providerName} cannot answer at the moment. Wait a little. ${openAgain}`);
  }
  return bad(
    400,
    'Not connected',
    `${providerName} did not complete the connection. Nothing was changed. ${openAgain}`,
  );
}

/** Something of ours is in the way. On the way back the provider's answer may have been used up by then. */
export function troublePage(error: GrantryError, status: number, options: { cameBack: boolean }): StatusPage {
  if (error.retryable || status === 503) {
    const text = options.cameBack ? 'It is not certain that anything was connected.' : 'Nothing has happened yet.';
    return bad(
      status,
      'Not available at the moment',
      `${text} Wait a minute, then open the link that you were given once more.`,
    );
  }
  return bad(
    status,
    'This cannot be done',
    `The connection is not set up as it should be. Tell whoever gave you the link (${error.code}).`,
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

function bad(status: number, title: string, text: string): StatusPage {
  return { status, page: { tone: 'bad', title, text } };
}

function lower(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
