import type { Slots } from '../../schemas/slots.ts';
import { slotsAdvice, slotsText, withoutRepeats } from '../../vault/grant/slots/words.ts';
import type { App, Vault } from '../../vault/types.ts';
import { type Finding, warn } from './finding.ts';

/** Warns of client registrations whose provider soon ends the oldest grant of a user, and names that grant. */
export async function slotFindings(vault: Vault, apps: readonly App[]): Promise<Finding[]> {
  // Apps with one client id share its places.
  const registrations = new Map(
    apps.filter((app) => app.integrityFailed !== true).map((app) => [`${app.provider} ${app.clientId}`, app.name]),
  );
  const found: Slots[] = [];
  for (const name of registrations.values()) {
    found.push(...(await vault.apps.slots(name)).filter(({ filling }) => filling));
  }
  return withoutRepeats(found).map((slots) => warn('refresh tokens', slotsText(slots), slotsAdvice));
}
