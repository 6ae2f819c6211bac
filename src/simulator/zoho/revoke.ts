import { type AnswerEvent, json, type SimulatorAnswer } from '../http/answer.ts';
import { type Family, revokeFamily } from '../state/families.ts';
import { secretOf } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { SimulatorState } from '../state/state.ts';
import { fingerprintOf } from '../state/tokens.ts';

/**
 * Handles `POST {accounts}/oauth/v2/revoke/token`, the current form. It requires HTTP Basic and the client's own token.
 */
export function zohoRevoke(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const settings = state.zoho.for(incoming.site.dc, incoming.clientId);
  const value = incoming.parameters.get('token') ?? '';
  const event = eventFor(incoming, value);
  const refused = (outcome: 'client_refused' | 'refused', error: string): SimulatorAnswer =>
    json(settings.revokeErrorStatus, { error }, { ...event, outcome, error });
  const client = state.registry.client(incoming.clientId ?? '');
  if (client === undefined || !incoming.basic) return refused('client_refused', 'invalid_client');
  const secret = secretOf(client, incoming.site.dc);
  if (secret !== null && secret !== incoming.clientSecret) return refused('client_refused', 'invalid_client_secret');
  const type = incoming.parameters.get('token_type') ?? 'refresh_token';
  const family =
    type === 'access_token' ? state.ledger.findAccess(value)?.family : state.ledger.findRefresh(value)?.family;
  const elsewhere =
    family !== undefined && family.dc !== incoming.site.dc && settings.revokeAtOtherDataCenter === 'refused';
  if (family === undefined || family.revoked !== null || family.clientId !== client.clientId || elsewhere)
    return refused('refused', 'invalid_token');
  kill(state, family, value, type);
  return json(200, { status: 'success' }, { ...event, outcome: 'revoked', family: family.id, user: family.user });
}

/** Handles `POST {accounts}/oauth/v2/token/revoke?token=…`, the older form without authentication. */
export function zohoRevokeOld(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const settings = state.zoho.for(incoming.site.dc, incoming.clientId);
  const value = incoming.parameters.get('token') ?? '';
  const event = eventFor(incoming, value);
  if (settings.oldRevoke === 'gone')
    return json(404, { error: 'not_found' }, { ...event, outcome: 'invalid', error: 'gone' });
  const family = state.ledger.findRefresh(value)?.family ?? state.ledger.findAccess(value)?.family;
  const elsewhere =
    family !== undefined && family.dc !== incoming.site.dc && settings.revokeAtOtherDataCenter === 'refused';
  if (family === undefined || family.revoked !== null || family.profile !== 'zoho' || elsewhere) {
    const error = 'invalid_token';
    return json(settings.revokeErrorStatus, { error }, { ...event, outcome: 'refused', error });
  }
  kill(state, family, value, state.ledger.findRefresh(value) === undefined ? 'access_token' : 'refresh_token');
  return json(200, { status: 'success' }, { ...event, outcome: 'revoked', family: family.id, user: family.user });
}

function kill(state: SimulatorState, family: Family, value: string, type: string): void {
  const access = state.ledger.findAccess(value);
  if (type === 'access_token' && access !== undefined) access.dead ??= 'it was revoked';
  else revokeFamily(family, 'it was revoked');
}

function eventFor(incoming: Incoming, value: string): AnswerEvent {
  return { kind: 'revoke', outcome: 'invalid', clientId: incoming.clientId ?? undefined, token: fingerprintOf(value) };
}
