import type { ProviderDefinition } from '../providers/definition.ts';
import { separatorFinding } from '../providers/scope-knowledge.ts';
import type { ScopeFinding } from '../vault/types.ts';
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
