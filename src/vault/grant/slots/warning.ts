import { isGrantryError } from '../../../base/errors.ts';
import type { CheckedKey } from '../../../base/ids.ts';
import type { VaultContext } from '../../context.ts';
import { slotsOfApp } from './read.ts';
import { slotsText } from './words.ts';

/** Words for an operator before a consent that fills the places; undefined if there is room. */
export async function slotsWarning(context: VaultContext, app: string, key: CheckedKey): Promise<string | undefined> {
  try {
    const [fullest] = (await slotsOfApp(context, app)).filter((slots) => slots.filling);
    return fullest === undefined ? undefined : slotsText(fullest, key);
  } catch (error) {
    // It is only advice.
    if (!isGrantryError(error)) throw error;
    return undefined;
  }
}
