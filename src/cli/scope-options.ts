import type { ProviderDefinition } from '../providers/definition.ts';
import { separatorFinding } from '../providers/scope-knowledge.ts';
import type { Grant, ScopeFinding } from '../vault/types.ts';
import { usageError } from './terminal/errors.ts';
import type { Output } from './terminal/output.ts';

/** Splits the values of `--scope`: each may hold several scopes, separated by commas or spaces. */
export function splitScopeOptions(values: readonly string[] | undefined): string[] | undefined {
  return values?.flatMap((value) => value.split(/[\s,]+/).filter((scope) => scope !== ''));
}

/** Reads the values of `--scope-reason`, each `SCOPE=TEXT`; an empty text removes a reason. */
export function readScopeReasons(values: readonly string[]): Record<string, string> {
  const reasons: Record<string, string> = {};
  for (const value of values) {
    const [, scope, reason] = /^([^=\s]+)=(.*)$/s.exec(value) ?? [];
    if (scope === undefined || reason === undefined) {
      throw usageError('A reason for a scope has the form SCOPE=TEXT.', 'Quote the whole: --scope-reason "SCOPE=why".');
    }
    reasons[scope] = reason.trim();
  }
  return reasons;
}

/** Prints what was noticed about scopes, on stderr. */
export function noteScopeFindings(output: Output, findings: readonly ScopeFinding[]): void {
  for (const { level, message } of findings) output.note(`${level === 'hint' ? 'Hint' : 'Warning'}: ${message}`);
  if (findings.some(({ kind }) => kind === 'broad')) {
    output.note('Keep a reason for a broad scope: grantry app add NAME --scope-reason "SCOPE=why it is needed"');
  }
}

/** Prints the hint about scopes that were separated by spaces, where the provider uses another separator. */
export function noteSeparator(output: Output, definition: ProviderDefinition, values: readonly string[] = []): void {
  const found = separatorFinding(definition, values);
  if (found !== null) noteScopeFindings(output, [found]);
}

/** Says before a browser opens what a grant has, and what is asked for beside it. */
export function noteAddition(output: Output, grant: Grant, adds: readonly string[]): void {
  output.note(`The grant has:  ${grant.scopes.join(' ') || '-'}`);
  output.note(`Asked for:      ${adds.map((scope) => `+${scope}`).join(' ')}`);
}

/** Says after the browser came back what was not granted, and what no answer has confirmed yet. */
export function noteGrantedScopes(output: Output, grant: Grant, adds: readonly string[] = []): void {
  const has = new Set(grant.scopes.map((scope) => scope.toLowerCase()));
  const gained = adds.filter((scope) => has.has(scope.toLowerCase()));
  if (gained.length > 0) output.note(`Gained:         ${gained.map((scope) => `+${scope}`).join(' ')}`);
  if (grant.scopesMissing.length > 0) {
    output.note(`Warning: asked for and not granted: ${grant.scopesMissing.join(' ')}`);
  }
  if (grant.scopesAssumed.length > 0) {
    output.note(
      `The provider's answer did not name these scopes, so they are assumed: ${grant.scopesAssumed.join(' ')}`,
    );
  }
}
