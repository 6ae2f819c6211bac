import type { AnswerEvent, SimulatorAnswer } from '../http/answer.ts';
import { isEnabledIn, type SimulatorClient, secretOf } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { SimulatorState } from '../state/state.ts';
import type { ZohoSettings } from '../state/zoho-settings.ts';
import { zohoError } from './answers.ts';

/** Returns the client of a token or revocation request, or the answer that refuses it. */
export function zohoClient(
  state: SimulatorState,
  incoming: Incoming,
  settings: ZohoSettings,
  event: AnswerEvent,
): SimulatorClient | SimulatorAnswer {
  const refused = { ...event, outcome: 'client_refused' as const };
  const dc = incoming.site.dc ?? '';
  const client = state.registry.client(incoming.clientId ?? '');
  if (client === undefined || !isEnabledIn(client, dc)) return zohoError(settings, 'invalid_client', refused);
  const secret = secretOf(client, dc);
  const presented = secretIn(incoming, settings);
  if (secret === null || presented === secret) return client;
  const belongsElsewhere = Object.values(client.secrets ?? {}).includes(presented ?? '');
  return zohoError(settings, belongsElsewhere ? settings.otherSecret : 'invalid_client_secret', refused);
}

/** Returns the client's secret from the places that this server reads. */
function secretIn(incoming: Incoming, settings: ZohoSettings): string | null {
  if (settings.secretsInQuery === 'refused' && !incoming.basic) return incoming.form.get('client_secret');
  return incoming.clientSecret;
}
