import { GrantryError, isGrantryError } from '../../../base/errors.ts';
import { type CheckedKey, commandFor } from '../../../base/ids.ts';
import type { Grant, Organizations, Vault } from '../../../vault/types.ts';
import { isUnreached, organizationText, sharedAdvice, unreachedOrganizations } from '../../organizations.ts';
import type { Steps } from './steps.ts';

/**
 * The step of the organisation: which one the grant is for, whether it is the expected one, and whether another client is in
 * the same one.
 *
 * @throws {GrantryError} `authorization_failed` if it is another one than expected, or if that cannot be told
 */
export async function checkOrganization(
  vault: Vault,
  key: CheckedKey,
  { expected, steps }: { expected: string | undefined; steps: Steps },
): Promise<void> {
  const found = await ask(vault, key);
  // Asking keeps what the provider tells, so the grant is read afterwards.
  const grant = await vault.grants.get(key);
  const kept = grant === null ? '-' : organizationText(grant);
  if (found instanceof GrantryError) {
    if (expected !== undefined) assertExpected(key, [keptId(grant)], { expected, told: kept });
    if (kept !== '-') return steps.tell('organisation', 'kept', `${kept}; it was not asked again: ${found.message}`);
    steps.leave(`The organisation of ${key.tenant} is not known. ${found.message}`);
    return steps.tell('organisation', 'open', 'not known');
  }
  const chosen = found.items.find((item) => item.chosen);
  const text = chosen === undefined ? kept : `${chosen.name ?? '-'} (${chosen.id})`;
  if (expected !== undefined) assertExpected(key, idsOf(found, keptId(grant)), { expected, told: text });
  if (chosen === undefined && found.items.length > 1 && keptId(grant) === undefined) {
    const names = found.items.map(({ id, name }) => `${name ?? '-'} (${id})`).join(', ');
    steps.leave(`Choose one of ${names}: ${commandFor('set', key, ` ${found.member}=ID`)}`);
    return steps.tell('organisation', 'open', 'the user has several, and none is chosen');
  }
  if (grant !== null && isUnreached(grant)) {
    for (const words of unreachedOrganizations([grant])) steps.leave(words);
    return steps.tell('organisation', 'open', kept);
  }
  if (found.sharedWith.length > 0) {
    const others = found.sharedWith.map(({ tenant }) => tenant).join(', ');
    steps.leave(`${text} is also the organisation of ${others}. ${sharedAdvice}`);
  }
  steps.tell('organisation', 'done', text === '-' ? `${key.provider} names none` : text);
}

/**
 * The ids by which the chosen organisation is known: that of the answer, and that of the grant, which may be another one of
 * the same organisation. An id that the provider does not name for this user counts only where it names none.
 */
function idsOf({ items }: Organizations, kept: string | undefined): (string | undefined)[] {
  const chosen = items.find((item) => item.chosen);
  return chosen !== undefined ? [chosen.id, kept] : items.length === 0 ? [kept] : [];
}

function keptId(grant: Grant | null): string | undefined {
  const id = grant?.metadata['org_id'];
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
}

function assertExpected(
  key: CheckedKey,
  ids: readonly (string | undefined)[],
  { expected, told }: { expected: string; told: string },
): void {
  if (ids.includes(expected)) return;
  const is = told === '-' ? 'is not known' : `is ${told}`;
  throw new GrantryError(
    'authorization_failed',
    `The organisation of ${key.tenant} at ${key.provider} ${is}, and ${expected} was expected. The grant stays as it is.`,
    {
      action: `Connect again and choose the expected one: ${commandFor('connect', key, ` --expect-org ${expected}`)}`,
      reason: 'wrong_organization',
    },
  );
}

async function ask(vault: Vault, key: CheckedKey): Promise<Organizations | GrantryError> {
  try {
    return await vault.organizations(key);
  } catch (error) {
    if (isGrantryError(error)) return error;
    throw error;
  }
}
