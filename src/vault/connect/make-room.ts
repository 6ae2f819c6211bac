import { codeOf } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { AppRow } from '../../storage/statements/apps.ts';
import { tokensToRevoke } from '../../storage/statements/revocations.ts';
import type { VaultContext } from '../context.ts';
import { endsInTime } from '../deadline.ts';
import { revokeOfApps } from '../grant/revocations.ts';
import { slotCounter } from '../grant/slots/read.ts';

/**
 * Revokes the queued tokens of a registration before a consent, if one of its users may have no place left: otherwise the
 * consent would end the oldest grant, while a token that is not needed keeps its place. Waits a moment, and never throws: the
 * consent goes on.
 */
export async function makeRoom(context: VaultContext, app: AppRow): Promise<void> {
  try {
    // A clone that revoked its copies would end grants of the original.
    if (context.guard.reason !== null) return;
    const counter = await slotCounter(context, app);
    if (counter === null || !(await tokensToRevoke(context.store.db, counter.apps))) return;
    const isFull = (await counter.all()).some(({ upTo, max }) => upTo >= max);
    if (!isFull) return;
    const revoked = revokeOfApps(context, counter.apps);
    if (await endsInTime(context.world, revoked, limits.makeRoomMs)) await revoked;
    else revoked.catch(() => {});
  } catch (error) {
    context.logger.warn('queued tokens could not be revoked before a consent', { app: app.name, code: codeOf(error) });
  }
}
