import type { AnswerRule, ProviderDefinition } from './definition.ts';

/** An API's answer, as far as it was read. */
export interface ApiAnswer {
  readonly status: number;
  /** The body as parsed JSON; left out when it is not JSON or was not read. */
  readonly body?: unknown;
  /** The `WWW-Authenticate` header (RFC 6750 section 3). */
  readonly wwwAuthenticate?: string | null | undefined;
}

/**
 * Tells whether the API rejected the access token, so that one refresh and one replay may help.
 *
 * A rule with only a status yields to {@link isScopeMissing}: a refresh adds no scope.
 */
export function isInvalidToken(definition: ProviderDefinition, answer: ApiAnswer): boolean {
  const found = definition.api.invalidToken.filter((rule) => ruleMatches(rule, answer));
  if (found.length === 0) return false;
  return (
    found.some((rule) => rule.pointer !== undefined && rule.absent !== true) || !isScopeMissing(definition, answer)
  );
}

/**
 * Tells whether the token lacks a scope. Some APIs answer a bad token the same way. When {@link isInvalidToken} is true
 * too, refresh first; if a fresh token gets the same answer, the scope is missing.
 */
export function isScopeMissing(definition: ProviderDefinition, answer: ApiAnswer): boolean {
  if (/\berror\s*=\s*"?insufficient_scope\b/i.test(answer.wwwAuthenticate ?? '')) return true;
  return definition.api.scopeMissing.some((rule) => ruleMatches(rule, answer));
}

/** Tells whether {@link isInvalidToken} needs the body of an answer with this status. */
export function bodyMatters(definition: ProviderDefinition, status: number): boolean {
  const open = (rule: AnswerRule) =>
    rule.pointer !== undefined && (rule.status === undefined || rule.status === status);
  const { invalidToken, scopeMissing } = definition.api;
  if (invalidToken.some(open)) return true;
  return invalidToken.some((rule) => rule.status === undefined || rule.status === status) && scopeMissing.some(open);
}

/** Returns the value at a JSON Pointer (RFC 6901); `undefined` when there is none. */
export function atPointer(document: unknown, pointer: string): unknown {
  if (pointer === '') return document;
  if (!pointer.startsWith('/')) return undefined;
  let value = document;
  for (const part of pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    value = Array.isArray(value) ? element(value, name) : member(value, name);
    if (value === undefined) return undefined;
  }
  return value;
}

function element(array: readonly unknown[], name: string): unknown {
  return /^(?:0|[1-9]\d{0,8})$/.test(name) ? array[Number(name)] : undefined;
}

function member(value: unknown, name: string): unknown {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined;
  const found: unknown = Reflect.get(value, name);
  return found;
}

function ruleMatches(rule: AnswerRule, answer: ApiAnswer): boolean {
  if (rule.status !== undefined && rule.status !== answer.status) return false;
  if (rule.pointer === undefined) return rule.status !== undefined;
  const value = atPointer(answer.body, rule.pointer);
  if (rule.absent === true) return value === undefined;
  return rule.equals === undefined ? value !== undefined : value === rule.equals;
}
