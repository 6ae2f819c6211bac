import { slotsAdvice, slotsText } from '../../vault/grant/slots/words.ts';
import type { App, Vault } from '../../vault/types.ts';
import { type Finding, warn } from './finding.ts';

/** Warns of client registrations whose provider soon ends the oldest grant of a user, and names that grant. */
export async function slotFindings(vault: Vault, apps: readonly App[]): Promise<Finding[]> {
  // Apps with one client id share its places.
  const registrations = new Map(
    apps.filter((app) => app.integrityFailed !== true).map((app) => [`${app.provider} ${app.clientId}`, app.name]),
  );
  const texts = new Set<string>();
  for (const name of registrations.values()) {
    for (const slots of await vault.apps.slots(name)) if (slots.filling) texts.add(slotsText(slots));
  }
  return [...texts].map((text) => warn('refresh tokens', text, slotsAdvice));
}
