import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { jsonIn } from '../../base/exact-json.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { readBounded } from '../../base/network/bounded.ts';
import { expand } from '../../providers/expand.ts';
import { type ApiAnswer, isScopeMissing } from '../../providers/invalid-token.ts';
import { findGrant, metadataOf } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { getGrant } from '../grant/grants.ts';
import { missingGrant } from '../grant/missing.ts';
import { noSuchGrant } from '../grant/refusals.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import { keepTold } from '../organization/keep.ts';
import { sharersOf } from '../organization/shared.ts';
import { organizationIdOf, organizationMember, organizationsIn, ownReach } from '../organization/told.ts';
import type { Organizations } from '../types.ts';
import { callApiTold } from './call.ts';
import { rejectedBecause } from './retry.ts';

/** Lists the organisations of a grant's user; see `Vault.organizations`. */
export async function organizationsOf(
  context: VaultContext,
  handOut: HandOut,
  keyInput: GrantKey,
): Promise<Organizations> {
  const key = checkKey(keyInput);
  const grant = await getGrant(context, key);
  if (grant === null) throw await missingGrant(context, key);
  if (grant.state === 'disconnected') throw noSuchGrant(key);
  const definition = await context.providers.require(key.provider);
  const call = definition.api.health;
  if (call?.organizations === undefined) {
    throw invalidRequest(`${key.provider} does not say which organisations a user has.`);
  }
  const path = expand(definition, call.path, grant);
  const request = { method: call.method ?? 'GET' };
  const { answer: response, keptBecause } = await callApiTold(context, handOut, key, path, request, call);
  const answer = await readAnswer(response);
  if (isScopeMissing(definition, answer)) throw scopeMissing(key.tenant, key.provider, call.scope);
  if (keptBecause !== undefined) throw rejectedBecause(keptBecause, { status: answer.status, data: null });
  if (answer.status >= 300) throw unanswered(answer.status);
  const told = organizationsIn(definition, grant.metadata, answer.body);
  const row = await findGrant(context.store.db, key);
  if (row === undefined) throw noSuchGrant(key);
  const { id, authorized_generation: authorizedGeneration } = row;
  const of = { ...key, id, authorizedGeneration };
  // Several products have organisations of their own: a health check asks them all.
  const reach = definition.products === undefined ? ownReach(definition, metadataOf(row), told) : 'unknown';
  const kept = await keepTold(context, definition, of, { organizations: told, owner: null, isNew: false, reach });
  const chosen = organizationIdOf(definition, metadataOf(kept ?? row));
  return {
    ...key,
    items: told.map(({ ids, name, isDefault }) => {
      const isChosen = chosen !== null && ids.includes(chosen);
      return { id: ids[0] ?? '', name, chosen: isChosen, default: isDefault };
    }),
    member: organizationMember(definition),
    sharedWith: await sharersOf(context, definition, kept ?? row, told),
  };
}

async function readAnswer(response: Response): Promise<ApiAnswer> {
  const { bytes } = await readBounded(response.body, limits.apiPeekBytesMax);
  const answer = { status: response.status, wwwAuthenticate: response.headers.get('www-authenticate') };
  const body = jsonIn(bytes.toString('utf8'));
  return body === undefined ? answer : { ...answer, body };
}

function scopeMissing(tenant: string, provider: string, scope: string | undefined): GrantryError {
  const named = scope === undefined ? 'a scope' : `the scope ${scope}`;
  return new GrantryError(
    'insufficient_scope',
    `The organisations of ${tenant} at ${provider} are read with ${named}.`,
    {
      action: `Connect ${tenant} again with ${named}.`,
    },
  );
}

function unanswered(status: number): GrantryError {
  const isAway = status >= 500 || status === 429;
  return new GrantryError(
    isAway ? 'provider_unavailable' : 'provider_error',
    `The API answered with status ${status} when it was asked for the organisations.`,
  );
}
