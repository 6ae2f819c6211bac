import { type CheckedKey, defaultAccount } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { hasScope } from '../../providers/scopes.ts';
import type { Grant, ImportResult } from '../../vault/types.ts';
import type { Output } from '../terminal/output.ts';

/** What is known of a client after an import, or before one. */
export interface ImportedClient extends CheckedKey {
  readonly result: NonNullable<ImportResult['result']>;
  /** True if the file names the organisation. */
  readonly namesOrganization: boolean;
  /** The grant as it is stored; null before the first import. */
  readonly grant: Grant | null;
}

/** What a person should do about a client, in one word. */
export type NextStep = 'consent' | 'organization' | 'scopes';

/** Finds what is left to do for a client of an import: `consent` stands alone, since a new one answers the rest. */
export function nextSteps(client: ImportedClient, definition: ProviderDefinition): readonly NextStep[] {
  const { result, grant } = client;
  if (result === 'condemned' || result === 'disconnected') return ['consent'];
  if (grant?.state === 'reauthorization_required') return ['consent'];
  const steps: NextStep[] = [];
  const isKnown = client.namesOrganization || grant?.metadata['org_id'] !== undefined;
  if (!isKnown && definition.api.health !== undefined) steps.push('organization');
  if (missingScope(grant, definition) !== null) steps.push('scopes');
  return steps;
}

/** The scope of the health call, if the grant is known to lack it. What an env file's token may do is known after a refresh. */
function missingScope(grant: Grant | null, definition: ProviderDefinition): string | null {
  const needed = definition.api.health?.scope;
  if (grant === null || grant.scopes.length === 0 || needed === undefined) return null;
  return hasScope(definition, grant.scopes, needed) ? null : needed;
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
    const command = `grantry connect ${first.tenant} ${first.provider}`;
    lines.push(`A new consent is needed for ${namesOf(of('consent'))}: ${command}`);
  }
  if (of('organization').length > 0) {
    lines.push(`The organisation is not known of ${namesOf(of('organization'))}: grantry health reads it`);
  }
  const narrow = of('scopes')[0];
  if (narrow !== undefined) {
    lines.push(
      `The scope that tells the organisation is missing for ${namesOf(of('scopes'))}: grantry connect ${narrow.tenant} ${narrow.provider}`,
    );
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
