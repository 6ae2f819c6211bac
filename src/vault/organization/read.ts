import { atPointer, isInvalidToken, isScopeMissing } from '../../providers/invalid-token.ts';
import { forCall } from '../../providers/products.ts';
import { hasScope } from '../../providers/scopes.ts';
import type { VaultContext } from '../context.ts';
import { askApi, type TokenInHand } from './ask.ts';
import { nameOf, organizationsIn, type ToldOrganization } from './told.ts';

/** The answer to a question about the organisations of a token. */
export type Reading =
  | { readonly kind: 'told'; readonly organizations: readonly ToldOrganization[] }
  /** The provider's definition does not say where its API names an organisation. */
  | { readonly kind: 'not_told' }
  /** The token has no scope for the call. */
  | { readonly kind: 'scope_missing'; readonly scope: string }
  /** The API refuses the token, or answers something else for good. */
  | { readonly kind: 'refused'; readonly status: number }
  /** No answer came, or one that may be another in a moment. */
  | { readonly kind: 'away'; readonly status: number | null };

/** Asks the API with a token in hand which organisations it is for. It never spends a refresh. */
export async function readOrganizations(
  context: VaultContext,
  inHand: TokenInHand,
  scopes: readonly string[],
): Promise<Reading> {
  const { definition, place } = inHand;
  const call = definition.api.health;
  if (call?.organizations === undefined) return { kind: 'not_told' };
  const lacks = call.scope !== undefined && scopes.length > 0 && !hasScope(definition, scopes, call.scope);
  if (lacks) return { kind: 'scope_missing', scope: call.scope ?? '' };
  // Where one grant serves several products, the call follows the rules of its own.
  const rules = forCall(definition, call.path);
  const answer = await askApi(context, { ...inHand, definition: rules }, call);
  if (answer === null) return { kind: 'away', status: null };
  const { status, body } = answer;
  if (isScopeMissing(rules, answer)) return { kind: 'scope_missing', scope: call.scope ?? 'unknown' };
  if (status === 429 || status >= 500 || status === 408) return { kind: 'away', status };
  if (isInvalidToken(rules, answer) || status >= 300) return { kind: 'refused', status };
  return { kind: 'told', organizations: organizationsIn(definition, place.metadata, body) };
}

/** The user who gave the consent. */
export interface Owner {
  readonly id: string;
  readonly name: string | null;
  readonly isInactive: boolean;
}

/** Asks who gave the consent, if a scope of the token tells it. Null if nothing does, or the answer is none. */
export async function readOwner(
  context: VaultContext,
  inHand: TokenInHand,
  scopes: readonly string[],
): Promise<Owner | null> {
  const { definition } = inHand;
  const call = definition.api.owner?.find(({ scope }) => hasScope(definition, scopes, scope));
  if (call === undefined) return null;
  const answer = await askApi(context, inHand, { path: call.path });
  if (answer === null || answer.status >= 300) return null;
  const id = idText(atPointer(answer.body, call.id));
  if (id === null) return null;
  const name = call.name === undefined ? null : nameOf(atPointer(answer.body, call.name));
  const isInactive = (call.inactive ?? []).some(({ pointer, equals }) => atPointer(answer.body, pointer) === equals);
  return { id, name, isInactive };
}

function idText(value: unknown): string | null {
  if (typeof value === 'string' && /^[\x21-\x7e]{1,128}$/.test(value)) return value;
  return Number.isSafeInteger(value) ? String(value) : null;
}
