import { GrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { isPlace } from '../../providers/place.ts';
import { type AppRow, findApp } from '../../storage/statements/apps.ts';
import { lockApp } from '../../storage/statements/standing.ts';
import type { ChangeTransaction } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/** The cause of an error about tokens whose provider or app was changed since they were asked for. */
export class MovedError extends Error {}

/** The app that tokens were issued to, and its place then. */
interface Origin {
  /** Null if the app is looked up when it is needed. */
  readonly app: string | null;
  /** The hash of the provider's place and the app's client when the tokens were asked for, or handed in. */
  readonly place?: string | undefined;
}

/**
 * Prepares a check for the transaction that stores tokens: their app and provider still stand as they did, and stay so until
 * it ends. Otherwise a caller that may move an unused provider could have the tokens sent to a place of its own.
 *
 * @returns the check, which throws `authorization_failed` with a {@link MovedError} as cause
 */
export async function standingOf(
  context: VaultContext,
  key: Pick<CheckedKey, 'provider'>,
  { app: name, place }: Origin,
): Promise<(change: ChangeTransaction) => Promise<void>> {
  if (name === null) return async () => {};
  const standing = await context.providers.reader(key.provider);
  return async ({ tx }) => {
    // In this order everywhere, and before any grant.
    await lockApp(tx, name, 'share');
    const definition = await standing(tx);
    const app = await findApp(tx, name);
    if (app === undefined || definition === null || app.provider !== key.provider) throw moved(key.provider, name);
    if (place !== undefined && !isPlace(place, definition, app)) throw moved(key.provider, name);
  };
}

/** As {@link standingOf}, outside of a transaction: for a look before anything is done. */
export async function stands(context: VaultContext, app: AppRow, place: string | undefined): Promise<boolean> {
  return place === undefined || isPlace(place, await context.providers.require(app.provider), app);
}

/** The error for tokens that are not stored, because their provider or app is another one now. */
export function moved(provider: string, app: string | null): GrantryError {
  const subject = app === null ? provider : `${provider} or its app ${app}`;
  return new GrantryError(
    'authorization_failed',
    `${subject} was changed while this connection was under way, so its tokens were not stored or sent anywhere.`,
    {
      cause: new MovedError('the place of the tokens is another one'),
      action: 'Connect again, or hand the tokens in again.',
    },
  );
}

/** True for an error of {@link moved}. */
export function isMoved(error: unknown): boolean {
  return error instanceof GrantryError && error.cause instanceof MovedError;
}
