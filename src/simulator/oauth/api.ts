import { type AnswerEvent, json, type SimulatorAnswer } from '../http/answer.ts';
import { useAccess } from '../state/families.ts';
import type { OAuthProfile } from '../state/profiles.ts';
import type { Incoming } from '../state/request.ts';
import type { SimulatorState } from '../state/state.ts';
import { fingerprintOf } from '../state/tokens.ts';

/**
 * Answers an API call: checks the access token and returns its user.
 *
 * The first use of a token counts: under `retire_on_use` it ends the previous token.
 */
export function oauthApi(state: SimulatorState, incoming: Incoming, profile: OAuthProfile): SimulatorAnswer {
  const value = /^\S+\s+(\S+)$/.exec(incoming.headers.get('authorization') ?? '')?.[1] ?? '';
  const event: AnswerEvent = {
    kind: 'api',
    outcome: 'token_refused',
    token: value === '' ? undefined : fingerprintOf(value),
    detail: `${incoming.method} ${incoming.url.pathname}`,
  };
  const token = state.ledger.findAccess(value);
  const known = token !== undefined && token.family.profile === profile.id ? token : undefined;
  const death =
    known === undefined
      ? 'unknown access token'
      : useAccess(known, state.ledger.mintOf(known.family), state.clock.now());
  if (known === undefined || death !== null) {
    const answer = json(
      401,
      { error: 'invalid_token', error_description: death },
      { ...event, error: 'invalid_token', family: known?.family.id },
    );
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Bearer error="invalid_token"' } };
  }
  const { family } = known;
  const user = state.registry.user(family.user);
  const named = atPointer(profile.health?.name ?? '/name', user?.orgName ?? '');
  const body = Array.isArray(named)
    ? named
    : {
        ...named,
        user: family.user,
        organization: user?.orgId,
        scopes: known.scopes,
        method: incoming.method,
        path: incoming.url.pathname,
      };
  return json(200, body, { ...event, outcome: 'ok', family: family.id, clientId: family.clientId, user: family.user });
}

/** Builds a document with a value at a JSON Pointer (RFC 6901). */
function atPointer(pointer: string, value: unknown): object {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const built = steps.reduceRight<unknown>((inner, step) => (/^\d+$/.test(step) ? [inner] : { [step]: inner }), value);
  return typeof built === 'object' && built !== null ? built : { data: built };
}
