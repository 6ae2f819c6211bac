import type { Vault } from '../vault/types.ts';
import type { Output } from './terminal/output.ts';

/** Notes on stderr that the database is quarantined, why, and what to do. */
export function noteQuarantine(output: Output, vault: Vault): void {
  if (vault.quarantine === null) return;
  output.note(`This database is quarantined: ${vault.quarantine}`);
  output.note('Grantry hands out tokens that are still valid, and refreshes none.');
  output.note(quarantineAction);
}

/** The decision that a person must make. */
export const quarantineAction =
  'Run grantry adopt if this database should refresh the grants, and no other copy of it does.';
