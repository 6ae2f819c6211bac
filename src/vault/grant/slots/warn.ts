import { isGrantryError } from '../../../base/errors.ts';
import type { CheckedKey } from '../../../base/ids.ts';
import { placeNamedIn } from '../../../providers/data-centre.ts';
import type { Slots } from '../../../schemas/slots.ts';
import { findApp } from '../../../storage/statements/apps.ts';
import { type GrantRow, metadataOf } from '../../../storage/statements/grants.ts';
import { deleteSlotWarning, insertSlotWarning } from '../../../storage/statements/slots/left-tokens.ts';
import { changing, tellListener } from '../../changing.ts';
import type { VaultContext } from '../../context.ts';
import { type SlotCounter, slotCounter } from './read.ts';
import { slotsMessage } from './words.ts';

/** A token that takes a place at its provider, or has left it. */
export interface SlotToken {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly app: string | null;
  /** A data centre's name or the URL of an API host, as the queue of revocations keeps it. */
  readonly dc: string | null;
  readonly user: string | null;
}

/** The token of a grant, as it was stored. */
export function tokenOf(
  key: CheckedKey,
  row: Pick<GrantRow, 'app' | 'metadata'> & { consent_user: string | null },
): SlotToken {
  return { ...key, app: row.app, dc: placeNamedIn(metadataOf(row)), user: row.consent_user };
}

/**
 * Warns of a user whose refresh tokens near the number that the provider keeps, after a consent. The event is sent once
 * until there is room again; the log says it each time.
 */
export async function warnOfSlots(context: VaultContext, token: SlotToken): Promise<void> {
  await advise(context, token, async (counter) => {
    const slots = await counter.of(token.user, token.dc);
    if (!(await noteGroup(context, counter, token, slots))) return;
    const { app, provider, user, tokens, upTo, max, next } = slots;
    context.logger.warn(slotsMessage, { app, provider, user, tokens, upTo, max, falls: falls(next) });
  });
}

/** Looks again after a token was revoked: with room again, the next crossing is told again. */
export async function recheckSlots(context: VaultContext, token: SlotToken): Promise<void> {
  await advise(context, token, async (counter) => {
    await noteGroup(context, counter, token, await counter.of(token.user, token.dc));
  });
}

/** Keeps the warning of a group, and sends the event at the crossing. Returns true while the group is filling. */
async function noteGroup(
  context: VaultContext,
  counter: SlotCounter,
  { tenant, provider, account }: SlotToken,
  slots: Slots,
): Promise<boolean> {
  const { app, user, dc, tokens, upTo, max, next } = slots;
  const group = { registration: counter.clientId, dc: dc ?? '', consent_user: user ?? '' };
  if (!slots.filling) {
    await changing(context, ({ tx }) => deleteSlotWarning(tx, group));
    return false;
  }
  const isCrossing = await changing(context, async ({ tx, recordOther }) => {
    if (!(await insertSlotWarning(tx, group))) return false;
    const details = { app, user, tokens, up_to: upTo, max, next: falls(next) };
    recordOther({ type: 'slots.filling', tenant, provider, account, details });
    return true;
  });
  if (isCrossing) {
    const at = new Date(context.world.now());
    const about = { tenant, provider, account, app, user, tokens, upTo, max, next };
    tellListener(context, { at, type: 'slots.filling', ...about });
  }
  return true;
}

/** Names the grant that ends first, in one text. */
function falls(next: Slots['next']): string | null {
  return next === null ? null : `${next.tenant}/${next.provider}/${next.account}`;
}

/** Runs what is only advice: the grant is stored, also if the count fails. */
async function advise(
  context: VaultContext,
  token: SlotToken,
  run: (counter: SlotCounter) => Promise<void>,
): Promise<void> {
  try {
    const app = token.app === null ? undefined : await findApp(context.store.db, token.app);
    const counter = app === undefined ? null : await slotCounter(context, app);
    if (counter !== null) await run(counter);
  } catch (error) {
    if (!isGrantryError(error)) throw error;
  }
}
