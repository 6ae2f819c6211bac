import type { KnownUser } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { SimulatorState } from '../state/state.ts';
import { html, type SimulatorAnswer } from './answer.ts';
import { card, escape } from './markup.ts';

/** Renders the page on which a user accepts or declines. Its form repeats the request and adds the decision. */
export function consentPage(
  state: SimulatorState,
  incoming: Incoming,
  action: string,
  user: KnownUser,
  scopes: readonly string[],
): SimulatorAnswer {
  const clientId = incoming.query.get('client_id') ?? '';
  const hidden = [...incoming.query]
    .filter(([name]) => name !== 'login_hint' && name !== 'organization')
    .map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`)
    .join('');
  const options = state.registry
    .users()
    .map(
      (each) =>
        `<option value="${escape(each.id)}"${each.id === user.id ? ' selected' : ''}>${escape(`${each.name}, ${each.orgName}`)}</option>`,
    )
    .join('');
  const organizations = state.registry
    .users()
    .filter((each) => each.dc === user.dc && each.organizations.length > 1)
    .map((each) => optionsOf(each, each.id === user.id ? state.registry.picked : null))
    .join('');
  const picker =
    organizations === ''
      ? ''
      : `<label for="organization">Your organisation</label>
<select id="organization" name="organization">${organizations}</select>`;
  const where = incoming.site.dc === null ? '' : `<p class="note">Data centre: ${escape(incoming.site.dc)}</p>`;
  const body = `<p><code>${escape(clientId)}</code> would like to:</p>
<ul>${scopes.map((scope) => `<li><code>${escape(scope)}</code></li>`).join('')}</ul>${where}
<form method="post" action="${escape(action)}">${hidden}
<label for="user">You are</label>
<select id="user" name="login_hint">${options}</select>${picker}
<div class="buttons"><button class="main" name="decision" value="accept">Accept</button><button name="decision" value="decline">Decline</button></div>
</form>`;
  const event = {
    kind: 'authorize' as const,
    outcome: 'shown' as const,
    clientId,
    user: user.id,
    detail: 'consent page',
  };
  const answer = html(200, card('An application asks for access', body), event);
  // The form ends in a redirect to the application, which the usual policy would block.
  return { ...answer, headers: { ...answer.headers, 'referrer-policy': 'no-referrer' } };
}

/** The organisations of a user, under the user's name. */
function optionsOf(user: KnownUser, picked: string | null): string {
  const options = user.organizations.map(({ id, name, environment }) => {
    const kind = environment === 'production' ? '' : ` (${environment})`;
    return `<option value="${escape(id)}"${id === picked ? ' selected' : ''}>${escape(name + kind)}</option>`;
  });
  return `<optgroup label="${escape(user.name)}">${options.join('')}</optgroup>`;
}

/** Renders an error page. An invalid request must not be redirected to its URI. */
export function errorPage(status: number, title: string, text: string, clientId: string | null): SimulatorAnswer {
  return html(status, card(title, `<p>${escape(text)}</p>`), {
    kind: 'authorize',
    outcome: 'invalid',
    clientId: clientId ?? undefined,
    error: title,
  });
}
