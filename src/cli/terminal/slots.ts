import { isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { slotsAdvice, slotsText } from '../../vault/grant/slots/words.ts';
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
  const told: string[] = [];
  for (const app of apps) {
    const slots = await slotsOf(vault, app);
    const filling = slots.filter((each) => each.filling).slice(0, toldMax);
    for (const each of filling) told.push(slotsText(each, connecting));
  }
  for (const text of new Set(told)) output.note(`Warning: ${text}`);
  if (told.length > 0) output.note(slotsAdvice);
}

async function slotsOf(vault: Vault, app: string) {
  try {
    return await vault.apps.slots(app);
  } catch (error) {
    if (!isGrantryError(error)) throw error;
    return [];
  }
}
