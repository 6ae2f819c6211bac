import type { Vault } from '../vault/types.ts';
import type { Output } from './terminal/output.ts';

/** Says on stderr that the database is quarantined, why, and what to do; nothing when it is not. */
export function noteQuarantine(output: Output, vault: Vault): void {
  if (vault.quarantine === null) return;
  output.note(`This database is quarantined: ${vault.quarantine}`);
  output.note('Tokens that are still valid are handed out, and none is refreshed.');
  output.note(quarantineAction);
}

/** What somebody must decide. */
export const quarantineAction =
  'If this is the database that should refresh from now on, and no other copy of it does: grantry adopt';
