import { type CheckedKey, commandFor, defaultAccount } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { scopeKnowledge } from '../../providers/scope-knowledge.ts';
import { lintScopes } from '../../providers/scope-lint.ts';
import { hasScope } from '../../providers/scopes.ts';
import type { Grant, ImportResult } from '../../vault/types.ts';
import type { Output } from '../terminal/output.ts';

/** A client of an import, and the knowledge of it after the import or before it. */
export interface ImportedClient extends CheckedKey {
  readonly result: NonNullable<ImportResult['result']>;
  /** True if the file names the organisation. */
  readonly namesOrganization: boolean;
  /** The grant as it is stored; null before the first import. */
  readonly grant: Grant | null;
}

/** A task that an import leaves to a person, in one word. */
export type NextStep = 'consent' | 'organization' | 'scopes';

/** Finds what is left to do for a client of an import: `consent` stands alone, since a new one answers the rest. */
export async function nextSteps(client: ImportedClient, definition: ProviderDefinition): Promise<readonly NextStep[]> {
  const { result, grant } = client;
  if (result === 'condemned' || result === 'disconnected') return ['consent'];
  if (grant?.state === 'reauthorization_required') return ['consent'];
  const steps: NextStep[] = [];
  const isKnown = client.namesOrganization || grant?.metadata['org_id'] !== undefined;
  if (!isKnown && definition.api.health !== undefined) steps.push('organization');
  if (await hasOddScopes(grant, definition)) steps.push('scopes');
  return steps;
}

/**
 * True if the grant lacks the scope of the health call, or if the provider's table finds fault with its scopes. The
 * scopes of an env file are not the grant's: what its token may do is known after a refresh.
 */
async function hasOddScopes(grant: Grant | null, definition: ProviderDefinition): Promise<boolean> {
  if (grant === null || grant.scopes.length === 0) return false;
  const needed = definition.api.health?.scope;
  if (needed !== undefined && !hasScope(definition, grant.scopes, needed)) return true;
  const { findings } = lintScopes(await scopeKnowledge(definition), grant.scopes);
  return findings.some(({ kind, level }) => level !== 'hint' && kind !== 'broad');
}

/** Prints what to do next, each step with the clients that it is for. */
export function noteNextSteps(
  output: Output,
  clients: readonly (ImportedClient & { readonly next: readonly NextStep[] })[],
  { dryRun }: { dryRun: boolean },
): void {
  const of = (step: NextStep) => clients.filter(({ next }) => next.includes(step));
  const lines: string[] = [];
  const first = of('consent')[0];
  if (first !== undefined) {
    lines.push(`A new consent is needed for ${namesOf(of('consent'))}: ${commandFor('connect', first)}`);
  }
  if (of('organization').length > 0) {
    lines.push(`The organisation is not known of ${namesOf(of('organization'))}: grantry health reads it`);
  }
  const narrow = of('scopes')[0];
  if (narrow !== undefined) {
    lines.push(`The scopes are odd of ${namesOf(of('scopes'))}: look at them with ${commandFor('show', narrow)}`);
  }
  if (lines.length === 0) return;
  output.note(dryRun ? 'Next, after the import:' : 'Next:');
  for (const line of lines) output.note(`  ${line}`);
}

/** Enough names for a desk; a directory of thousands is counted. */
const namesMax = 20;

function namesOf(clients: readonly CheckedKey[]): string {
  const names = clients.map(({ tenant, account }) => (account === defaultAccount ? tenant : `${tenant} (${account})`));
  const more = names.length - namesMax;
  return more > 0 ? `${names.slice(0, namesMax).join(', ')} and ${more} more` : names.join(', ');
}
