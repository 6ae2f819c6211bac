import { capturedNames } from '../../oauth/account.ts';
import type { Metadata } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { pinsApiHost } from '../../providers/environment.ts';
import type { VaultEventType } from '../types.ts';
import { type AccountComparison, mergeForAccount } from './account.ts';

/**
 * Completes new members of metadata that choose an organisation. The one that calls carry has a name of its own at some
 * providers, so both members get the id; and the name of the organisation before does not stay beside another id.
 */
export function withOrganization(
  definition: ProviderDefinition,
  old: Metadata,
  news: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { member = 'org_id' } = definition.api.health?.organizations ?? {};
  const completed: Record<string, unknown> = { ...news };
  // What the provider's answers bring is not a person's to choose: a token may be for this organisation only.
  const isCaptured = capturedNames(definition).includes(member);
  if (member !== 'org_id' && !isCaptured) {
    const { org_id: given, [member]: own } = news;
    if (own === undefined && given !== undefined) completed[member] = given;
    else if (given === undefined && own !== undefined) completed['org_id'] = own;
  }
  const id = completed['org_id'];
  const changes = id !== undefined && id !== old['org_id'];
  if (changes && completed['org_name'] === undefined && old['org_name'] !== undefined) completed['org_name'] = null;
  return completed;
}

/** Merges the metadata of a new authorization into the stored one. */
export function mergedMetadata(
  definition: ProviderDefinition,
  old: Metadata,
  { metadata, event }: { readonly metadata: Metadata; readonly event: VaultEventType },
  comparison: AccountComparison | null,
): Record<string, unknown> {
  const completed = withOrganization(definition, old, metadata);
  // A person who hands in tokens may name their host; the answer to a code does not.
  const news = event === 'grant.connected' ? withoutPinned(definition, { ...old, ...completed }, completed) : completed;
  const merged = comparison === null ? { ...old, ...news } : mergeForAccount(definition, old, news, comparison);
  if (merged['org_name'] === null) delete merged['org_name'];
  return merged;
}

/** Leaves out of an answer's members what the grant's environment decides: no answer moves a grant out of it. */
export function withoutPinned<T>(
  definition: ProviderDefinition,
  metadata: Metadata,
  members: Readonly<Record<string, T>>,
): Readonly<Record<string, T>> {
  if (members['api_domain'] === undefined || !pinsApiHost(definition, metadata)) return members;
  return Object.fromEntries(Object.entries(members).filter(([name]) => name !== 'api_domain'));
}
