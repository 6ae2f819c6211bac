import { escape, page } from '../http/markup.ts';
import type { Simulator } from '../simulator.ts';
import type { HistoryEvent, Outcome } from '../state/history.ts';
import type { FamilyView } from '../state/views.ts';
import { connectedAppsPath } from './connected-apps.ts';

const eventsShown = 200;
const familiesShown = 50;

const tones: Readonly<Record<Outcome, 'good' | 'bad' | 'warn' | 'soft'>> = {
  issued: 'good',
  code: 'good',
  ok: 'good',
  shown: 'soft',
  declined: 'warn',
  revoked: 'warn',
  refused: 'bad',
  client_refused: 'bad',
  token_refused: 'bad',
  forbidden: 'warn',
  invalid: 'warn',
  throttled: 'warn',
  not_processed: 'warn',
};

const names: Readonly<Record<string, string>> = { refresh_token: 'refresh', authorization_code: 'code exchange' };

/** Renders the simulator's state and history for a person. `?family=` and `?token=` filter the history. */
export function statusPage(simulator: Simulator, query: Readonly<Record<string, string>>): string {
  const { family, token } = query;
  const events = simulator.history
    .events()
    .filter(
      (event) => (family === undefined || event.family === family) && (token === undefined || mentions(event, token)),
    );
  const families = simulator.families();
  const alive = families.filter((each) => each.alive).length;
  const waiting = simulator.faults.pending().length;
  const title = 'Grantry simulator';
  const narrowed = family ?? token;
  const body = `<main>
<h1>${title}</h1>
<p class="note">Make-believe providers. Everything here can be controlled under <code>/_sim/</code>.</p>
<ul class="facts">
${fact(alive, alive === 1 ? 'living grant' : 'living grants')}${fact(families.length - alive, 'dead')}${fact(simulator.history.total, 'requests recorded')}${fact(waiting, waiting === 1 ? 'fault waiting' : 'faults waiting')}
</ul>
<p class="note">Clock: ${escape(new Date(simulator.clock.now()).toISOString())}${offset(simulator.clock.offsetMs)}. Consent: ${simulator.registry.autoApprove ? 'given without asking' : 'asked for'}.</p>
${faults(simulator)}
<h2 id="history">History${narrowed === undefined ? '' : ` of <code>${escape(narrowed)}</code> <a href="/#history">show all</a>`}</h2>
${historyTable(events.slice(-eventsShown).toReversed(), events.length)}
<h2>Grants</h2>
${familyTable(families)}
<h2>Servers</h2>
${table(
  ['Server', 'Address'],
  Object.entries(simulator.origins()).map(([name, origin]) => [
    code(name),
    `<a href="${escape(origin)}">${escape(origin)}</a>`,
  ]),
)}
<h2>Applications</h2>
${table(
  ['Client id', 'Secret', 'Data centres', 'Redirect URIs'],
  simulator.registry
    .clients()
    .map((client) => [
      code(client.clientId),
      client.secrets === undefined
        ? client.secret === undefined
          ? 'none'
          : 'one'
        : `one each for ${escape(Object.keys(client.secrets).join(', '))}`,
      escape(client.dataCenters?.join(', ') ?? 'all'),
      client.redirectUris === undefined || client.redirectUris === 'any'
        ? 'any'
        : client.redirectUris.map(code).join('<br>'),
    ]),
)}
<h2>People</h2>
<p class="note"><a href="${connectedAppsPath}">Connected apps</a>: a user removes an application, or is deactivated.</p>
${table(
  ['User', 'Data centre', 'Organisation', 'Organisation id', 'Kind'],
  simulator.registry
    .users()
    .flatMap((user) =>
      user.organizations.map((each) => [
        code(user.id),
        escape(user.dc),
        escape(each.name),
        code(each.id),
        escape(each.environment),
      ]),
    ),
)}
</main>`;
  const refresh = query['refresh'] === undefined ? '' : '<meta http-equiv="refresh" content="2">';
  return page(title, refresh + body);
}

function mentions(event: HistoryEvent, token: string): boolean {
  return event.token === token || event.successor === token || event.accessToken === token;
}

function historyTable(events: readonly HistoryEvent[], total: number): string {
  if (events.length === 0) return '<p class="note">Nothing has happened yet.</p>';
  const rows = events.map((event) => [
    `<time class="soft">${escape(new Date(event.at).toISOString().slice(11, 23))}</time>`,
    code(event.dc === null ? event.profile : `${event.profile}/${event.dc}`),
    escape(whatOf(event)),
    `<span class="${tones[event.outcome]}">${escape(event.outcome.replaceAll('_', ' '))}</span>${event.status === undefined ? '' : ` <span class="soft">${event.status}</span>`}${event.replay === true ? ' <span class="warn">replay</span>' : ''}`,
    [event.error, event.detail]
      .filter((part) => part !== undefined)
      .map((part) => escape(part))
      .join(': '),
    event.fault === undefined ? '' : `<span class="warn">${escape(event.fault)}</span>`,
    event.family === undefined
      ? ''
      : `<a class="whole" href="/?family=${encodeURIComponent(event.family)}#history">${escape(event.family)}</a>`,
    tokens(event),
  ]);
  const note =
    total > events.length
      ? `<p class="note">The newest ${events.length} of ${total}; all of them: <a href="/_sim/history">/_sim/history</a>.</p>`
      : '';
  return table(['Time (UTC)', 'Server', 'Request', 'Outcome', 'Details', 'Fault', 'Grant', 'Tokens'], rows) + note;
}

function whatOf(event: HistoryEvent): string {
  const { grantType, kind } = event;
  if (kind !== 'token' || grantType === undefined) return kind;
  return names[grantType] ?? `token: ${grantType.replaceAll('_', ' ')}`;
}

/** Renders the presented token and the refresh token that was issued. */
function tokens(event: HistoryEvent): string {
  const link = (fingerprint: string) =>
    `<a class="mono" href="/?token=${fingerprint}#history">${fingerprint.slice(0, 8)}</a>`;
  const came = event.token === undefined ? '' : link(event.token);
  return event.successor === undefined ? came : `${came} <span class="whole">→ ${link(event.successor)}</span>`;
}

function familyTable(families: readonly FamilyView[]): string {
  if (families.length === 0) return '<p class="note">No user has consented yet.</p>';
  const shown = families.slice(-familiesShown).toReversed();
  const rows = shown.map((family) => [
    `<a class="whole" href="/?family=${encodeURIComponent(family.id)}#history">${escape(family.id)}</a>`,
    family.alive
      ? '<span class="good">alive</span>'
      : `<span class="bad">dead</span>${family.revoked === null ? '' : `: ${escape(family.revoked)}`}`,
    code(family.dc === null ? family.profile : `${family.profile}/${family.dc}`),
    code(family.user),
    code(family.clientId),
    `${family.refreshTokensMade} made, ${family.living} living`,
  ]);
  const note =
    families.length > shown.length
      ? `<p class="note">The newest ${shown.length} of ${families.length}; all of them: <a href="/_sim/families">/_sim/families</a>.</p>`
      : '';
  return table(['Grant', 'State', 'Server', 'User', 'Client', 'Refresh tokens'], rows) + note;
}

function faults(simulator: Simulator): string {
  const waiting = simulator.faults.pending();
  if (waiting.length === 0) return '';
  const rows = waiting.map(({ id, fault, left, skip }) => {
    const { effect, skip: _skip, times: _times, forMs: _forMs, ...aim } = fault;
    return [
      String(id),
      code(JSON.stringify(effect)),
      code(JSON.stringify(aim)),
      Number.isFinite(left) ? `${left} times` : 'until its time is over',
      skip === 0 ? '' : `after ${skip} more`,
    ];
  });
  return `<h2>Faults waiting</h2>${table(['Id', 'Effect', 'Aim', 'Left', ''], rows)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('\n')}</tr>`).join('\n');
  return `<div class="scroll"><table class="stack"><thead><tr>${head.map((name) => `<th>${escape(name)}</th>`).join('')}</tr></thead><tbody>
${cells}
</tbody></table></div>`;
}

function fact(count: number, name: string): string {
  return `<li><b>${count}</b> ${escape(name)}</li>`;
}

function code(text: string): string {
  return `<code>${escape(text)}</code>`;
}

function offset(ms: number): string {
  return ms === 0 ? '' : ` (moved by ${(ms / 1000).toLocaleString('en')} s)`;
}
