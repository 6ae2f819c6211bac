import { GrantryError, isGrantryError } from '../base/errors.ts';
import { commandFor, type GrantKey } from '../base/ids.ts';
import type { Grant, Organizations, Vault } from '../vault/types.ts';
import type { Context } from './context.ts';

/** The organisation of a grant: its name and id, as far as they are known. */
export function organizationText({ metadata }: Pick<Grant, 'metadata'>): string {
  const { org_name: name, org_id: id } = metadata;
  const named = typeof name === 'string' ? name : '';
  const known = typeof id === 'string' || typeof id === 'number' ? String(id) : '';
  if (named === '') return known === '' ? '-' : known;
  return known === '' ? named : `${named} (${known})`;
}

/** Finds tenants that are in one organisation of one provider; one line for each such organisation. */
export function sharedOrganizations(grants: readonly Grant[]): string[] {
  const tenants = new Map<string, { text: string; names: Set<string> }>();
  for (const grant of grants) {
    const id = grant.metadata['org_id'];
    if (grant.state === 'disconnected' || (typeof id !== 'string' && typeof id !== 'number')) continue;
    const place = `${grant.provider}\n${id}`;
    const known = tenants.get(place) ?? { text: `${grant.provider}: ${organizationText(grant)}`, names: new Set() };
    known.names.add(grant.tenant);
    tenants.set(place, known);
  }
  const shared = [...tenants.values()].filter(({ names }) => names.size > 1);
  return shared.map(({ text, names }) => `${text} is the organisation of ${[...names].toSorted().join(' and ')}`);
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
