import { card, escape } from '../http/markup.ts';
import type { Simulator } from '../simulator.ts';

export const connectedAppsPath = '/_sim/connected-apps';

/** Renders what Zoho shows its users as Connected Apps: each application of each user, with a button that removes it. */
export function connectedAppsPage(simulator: Simulator): string {
  const alive = simulator.families().filter((family) => family.alive);
  const applications = new Map(
    alive.map(({ user, clientId }) => [JSON.stringify([user, clientId]), { user, clientId }]),
  );
  const rows = [...applications.values()].map(({ user, clientId }) => {
    const count = alive.filter((family) => family.user === user && family.clientId === clientId).length;
    const text = `${user}: ${clientId}, ${count} ${count === 1 ? 'grant' : 'grants'}`;
    return form('remove', { user, clientId }, text, 'Remove');
  });
  const people = simulator.registry.users().map(({ id, name }) => {
    const isOut = simulator.registry.isDeactivated(id);
    const text = `${name}: ${isOut ? 'deactivated' : 'active'}`;
    return form('activate', { user: id, active: String(isOut) }, text, isOut ? 'Activate' : 'Deactivate');
  });
  const none = '<p class="note">No user has connected an application.</p>';
  return card(
    'Connected apps',
    `${rows.join('') || none}<h2>People</h2>${people.join('')}<p class="note"><a href="/">All of the simulator</a></p>`,
  );
}

/** Does what a button of the page says. */
export function pressButton(simulator: Simulator, fields: URLSearchParams): void {
  const user = fields.get('user') ?? '';
  if (fields.get('do') === 'remove') simulator.disconnect(user, fields.get('clientId') ?? undefined);
  else simulator.registry.setActive(user, fields.get('active') === 'true');
}

function form(action: string, fields: Readonly<Record<string, string>>, text: string, button: string): string {
  const hidden = Object.entries({ do: action, ...fields })
    .map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`)
    .join('');
  return `<form method="post" action="${connectedAppsPath}">${hidden}<p>${escape(text)} <button>${button}</button></p></form>`;
}
