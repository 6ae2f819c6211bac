import { GrantryError, isGrantryError } from '../base/errors.ts';
import { commandFor, type GrantKey } from '../base/ids.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { isSameOrganizationKind } from '../providers/organization-kind.ts';
import type { Grant, Organizations, Vault } from '../vault/types.ts';
import type { Context } from './context.ts';

/** The organisation of a grant: its name and id, as far as they are known. One that its token does not reach is marked. */
export function organizationText(grant: Pick<Grant, 'metadata'>): string {
  const { org_name: name, org_id: id } = grant.metadata;
  const known = idText(id) ?? '';
  if (isUnreached(grant)) return `${known} (not reached)`;
  const named = typeof name === 'string' ? name : '';
  if (named === '') return known === '' ? '-' : known;
  return known === '' ? named : `${named} (${known})`;
}

/** True if the provider has told that the grant's token does not reach the organisation that the grant names. */
export function isUnreached({ metadata }: Pick<Grant, 'metadata'>): boolean {
  const id = idText(metadata['org_id']);
  return id !== undefined && id === idText(metadata['org_unreached']);
}

/** Says for each grant whose token does not reach its organisation what a person does about it; one line each. */
export function unreachedOrganizations(grants: readonly Grant[]): string[] {
  const wrong = grants.filter((grant) => grant.state !== 'disconnected' && isUnreached(grant));
  return wrong.map((grant) => {
    const { tenant, provider, metadata } = grant;
    const cure = `${commandFor('organizations', grant)}, then ${commandFor('set', grant, ' org_id=ID')}`;
    return `the token of ${tenant} at ${provider} does not reach the organisation ${idText(metadata['org_id'])}. See its own: ${cure}`;
  });
}

function idText(id: unknown): string | undefined {
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
}

/**
 * Finds tenants that are in one organisation, also at several providers that name it by the same id; one line for each such
 * organisation. The id that the provider told counts, and not one that a person chose beside it.
 */
export async function sharedOrganizations(vault: Vault, grants: readonly Grant[]): Promise<string[]> {
  const tenants = new Map<string, { text: string; names: Set<string> }>();
  const kindOf = await kindsOf(vault, grants);
  for (const grant of grants) {
    const id = idText(grant.metadata['org_told_id']) ?? idText(grant.metadata['org_id']);
    if (grant.state === 'disconnected' || id === undefined) continue;
    const place = `${kindOf(grant.provider)}\n${id}`;
    const known = tenants.get(place) ?? { text: `${grant.provider}: ${organizationText(grant)}`, names: new Set() };
    known.names.add(grant.tenant);
    tenants.set(place, known);
  }
  const shared = [...tenants.values()].filter(({ names }) => names.size > 1);
  return shared.map(({ text, names }) => `${text} is the organisation of ${[...names].toSorted().join(' and ')}`);
}

/** Returns for each provider one that stands for all whose ids of organisations are of the same kind. */
async function kindsOf(vault: Vault, grants: readonly Grant[]): Promise<(provider: string) => string> {
  const stand = new Map<string, string>();
  const definitions: ProviderDefinition[] = [];
  for (const provider of new Set(grants.map((grant) => grant.provider))) {
    // A key of a server may not read the catalogue: then each provider stands for itself.
    const definition = await vault.providers.get(provider).catch(() => null);
    if (definition === null) continue;
    const alike = definitions.find((other) => isSameOrganizationKind(definition, other));
    if (alike === undefined) definitions.push(definition);
    stand.set(provider, (alike ?? definition).id);
  }
  return (provider) => stand.get(provider) ?? provider;
}

/** The advice for tenants that are in one organisation. */
export const sharedAdvice =
  'If they are different customers, connect one again and choose another organisation at the provider; --expect-org refuses a wrong one.';

/**
 * Says after a connect which organisation the grant is for, and what a person should look at: several organisations with
 * none chosen, or one that another tenant has too. The grant is stored, so nothing here fails the command.
 */
export async function noteOrganization({ output }: Context, vault: Vault, grant: Grant): Promise<void> {
  const known = organizationText(grant);
  if (known !== '-') output.note(`Organisation: ${known}`);
  const found = await ask(vault, grant);
  if (found instanceof GrantryError) {
    if (known === '-' && found.code === 'insufficient_scope')
      output.note(`The organisation is not known. ${found.message}`);
    return;
  }
  const { items, sharedWith } = found;
  if (items.length > 1 && !items.some(({ chosen }) => chosen)) {
    const names = items.map(({ id, name }) => `${name ?? '-'} (${id})`).join(', ');
    output.note(
      `Warning: the user has several organisations, and none is chosen: ${names}. Choose one: ${commandFor('set', grant, ' org_id=ID')}`,
    );
  }
  if (sharedWith.length > 0) {
    output.note(
      `Warning: ${known} is also the organisation of ${sharedWith.map(({ tenant }) => tenant).join(', ')}. ${sharedAdvice}`,
    );
  }
}

async function ask(vault: Vault, { tenant, provider, account }: GrantKey): Promise<Organizations | GrantryError> {
  try {
    return await vault.organizations({ tenant, provider, account });
  } catch (error) {
    if (isGrantryError(error)) return error;
    throw error;
  }
}
