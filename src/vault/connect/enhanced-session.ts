import { isGrantryError } from '../../base/errors.ts';
import { Secret } from '../../base/secret.ts';
import type { AuthorizationCallback } from '../../oauth/callback.ts';
import { type AuthorizationRow, takeAuthorization } from '../../storage/statements/authorizations.ts';
import {
  type ConnectSessionRow,
  claimConnectSession,
  completeConnectSession,
  holdConnectSession,
  nothingGranted,
  returnConnectSession,
} from '../../storage/statements/connect-sessions.ts';
import { tenantKeyStands } from '../../storage/statements/tenant-keys.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import type { Grant } from '../types.ts';
import { trustCallback } from './authorize.ts';
import { type Enhancement, enhancementIn } from './enhance.ts';
import { addScopes, assertConsented, grantedByEnhancement, type Prove } from './enhanced.ts';
import { failed } from './exchange.ts';
import { mistrusted } from './mistrust.ts';
import { type Refused, refused, shownError } from './outcomes.ts';
import { pendingPlace, sessionError, sessionStart } from './sessions.ts';

/** The end of a session that adds scopes. `error` is null for a grant that gained them. */
type Ended =
  | Refused
  | { readonly kind: 'pending' }
  | { readonly kind: 'ended'; readonly error: string | null; readonly detail: string | null };

/** A callback of a session's browser, whose request adds scopes. */
interface Came {
  readonly session: ConnectSessionRow;
  readonly callback: AuthorizationCallback;
  readonly request: Omit<AuthorizationRow, 'verifier'>;
  /** The hash of the code that the tenant's backend must bring; null if none has to. */
  readonly completionHash: string | null;
}

/** Ends a session that adds scopes, or holds it until the tenant's backend confirms who came back. */
export async function endEnhancement(
  context: VaultContext,
  { session, callback, request, completionHash }: Came,
  prove?: Prove,
): Promise<Ended> {
  if (request.used_at !== null) return repeated(session, completionHash);
  try {
    await trustCallback(context, request, callback);
  } catch (error) {
    if (!isGrantryError(error, 'authorization_failed')) throw error;
    return mistrusted(context, request, error);
  }
  const claim = { ...sessionStart(session), browserHash: session.browser_hash ?? '' };
  const enhancement = await changing(context, async ({ tx }) => {
    const row = await takeAuthorization(tx, request.state_hash);
    if (row === undefined || !(await claimConnectSession(tx, claim))) return null;
    return enhancementIn(row);
  });
  if (enhancement === null) return refused('finished_already');
  try {
    assertConsented(callback);
    if (completionHash !== null) return await hold(context, session, enhancement, completionHash);
    await endSession(context, session, enhancement, { prove, from: 'exchanging' });
    return { kind: 'ended', error: null, detail: null };
  } catch (thrown) {
    if (!isGrantryError(thrown, 'authorization_failed')) throw thrown;
    const error = shownError(callback.error, thrown.code);
    const { message: detail } = thrown;
    await changing(context, ({ tx }) =>
      returnConnectSession(tx, { ...sessionStart(session), error: sessionError(error, detail) }),
    );
    return { kind: 'ended', error, detail };
  }
}

/** Adds the scopes of a session to its grant, and ends the session with them. */
export async function endSession(
  context: VaultContext,
  session: ConnectSessionRow,
  enhancement: Enhancement,
  { prove, from }: { prove: Prove | undefined; from: 'exchanging' | 'pending' },
): Promise<Grant> {
  const grant = await addScopes(context, session, enhancement, prove);
  // Only `createConnectSession` writes this column, as an array of strings.
  const granted = await grantedByEnhancement(context, session, JSON.parse(session.scopes) as string[]);
  const ended = { ...sessionStart(session), from, granted: JSON.stringify(granted) };
  const isEnded = await changing(context, ({ tx }) => completeConnectSession(tx, ended));
  if (!isEnded) throw failed('This connect session was finished or restarted meanwhile.');
  return grant;
}

/** Holds a session until its completion code comes. What waits is no token, and is sealed like one. */
async function hold(
  context: VaultContext,
  session: ConnectSessionRow,
  enhancement: Enhancement,
  completionHash: string,
): Promise<Ended> {
  const { tenant } = session;
  const tenantKeys = await context.keys.pin(tenant, { fresh: true });
  const pending = tenantKeys.seal(pendingPlace(session), new Secret(JSON.stringify({ enhancement })));
  const isHeld = await changing(context, async ({ tx }) => {
    if (!(await tenantKeyStands(tx, { tenant, wrapped: tenantKeys.sealingKey }))) return false;
    const lifeMs = context.times.connectCompletionMs;
    return holdConnectSession(tx, {
      ...sessionStart(session),
      pending,
      completionHash,
      granted: nothingGranted,
      lifeMs,
    });
  });
  if (!isHeld) throw failed('This connect session was finished or restarted meanwhile.');
  return { kind: 'pending' };
}

function repeated(session: ConnectSessionRow, completionHash: string | null): Ended {
  if (session.state === 'completed') return { kind: 'ended', error: null, detail: null };
  if (completionHash !== null && session.completion_hash === completionHash) return { kind: 'pending' };
  return refused('used_state');
}
