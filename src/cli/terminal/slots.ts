import { isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { Slots } from '../../schemas/slots.ts';
import { slotsAdvice, slotsText, withoutRepeats } from '../../vault/grant/slots/words.ts';
import type { Vault } from '../../vault/types.ts';
import type { Output } from './output.ts';

/** Users of one app that a command tells of. */
const toldMax = 3;

/**
 * Notes the users of apps whose places at the provider run out, and the grants that end first. Silent where the key of a
 * server may not read that: it is only advice.
 */
export async function noteSlots(
  output: Output,
  vault: Vault,
  apps: readonly string[],
  connecting?: CheckedKey,
): Promise<void> {
  const found: Slots[] = [];
  for (const app of apps) {
    const slots = await slotsOf(vault, app);
    found.push(...slots.filter((each) => each.filling).slice(0, toldMax));
  }
  for (const each of withoutRepeats(found)) output.note(`Warning: ${slotsText(each, connecting)}`);
  if (found.length > 0) output.note(slotsAdvice);
}

async function slotsOf(vault: Vault, app: string): Promise<readonly Slots[]> {
  try {
    return await vault.apps.slots(app);
  } catch (error) {
    if (!isGrantryError(error)) throw error;
    return [];
  }
}
