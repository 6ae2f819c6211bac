import { GrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { VaultContext } from '../context.ts';
import { isMoved } from '../grant/standing.ts';
import { type Refused, refused } from './outcomes.ts';

/** The cause of an error for a callback from a data centre in which the app is not registered. */
class UnregisteredError extends Error {
  override readonly name = 'UnregisteredError';
}

/** The error for a callback from a data centre with registrations of its own, for which the app has no secret. */
export function unregistered({ provider, app, dc }: { provider: string; app: string; dc: string | null }) {
  return new GrantryError(
    'authorization_failed',
    `The callback names the data centre ${dc} of ${provider}, which has registrations of its own, and the app ${app} has no secret for it. Nothing was sent there.`,
    {
      cause: new UnregisteredError('the app is not registered there'),
      action: `If the app is registered there too, add its secret: --client-secret-file ${dc}=FILE. Then connect again.`,
    },
  );
}

/** Stops the browser whose callback is not trusted, and tells why: the log in full, the page in the words of the reason. */
export function mistrusted(
  context: VaultContext,
  { tenant, provider }: Pick<CheckedKey, 'tenant' | 'provider'>,
  error: GrantryError,
): Refused {
  context.logger.warn('a callback was refused', { tenant, provider, detail: error.message });
  if (isMoved(error)) return refused('changed_meanwhile');
  return refused(error.cause instanceof UnregisteredError ? 'not_registered_there' : 'not_from_the_provider');
}
