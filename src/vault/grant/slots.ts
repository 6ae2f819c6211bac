import { isGrantryError } from '../../base/errors.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { findApp } from '../../storage/statements/apps.ts';
import { countTokensByAccount } from '../../storage/statements/grants.ts';
import { countRevocationsOfApp } from '../../storage/statements/revocations.ts';
import type { VaultContext } from '../context.ts';

/** The share of a provider's limit from which on an operator is warned: 15 of Zoho's 20. */
const warnedShare = 0.75;

/** The refresh tokens of an app that may belong to one user of the provider, and the number that it keeps per user. */
export interface Slots {
  readonly app: string;
  readonly tokens: number;
  readonly max: number;
}

/** The advice of an operator whose app nears the limit. */
export const slotsAdvice =
  'If one user gave all these consents, the next ones end the oldest grants. Disconnect unused grants, or use another user or app.';

/**
 * Counts the refresh tokens of an app for the account that has most of them. Grants whose provider names no account count
 * as one account: they may be. Returns null below the limit's last quarter, and without a limit.
 */
export async function fullestSlots(context: VaultContext, name: string): Promise<Slots | null> {
  const app = await findApp(context.store.db, name);
  const definition = app === undefined ? null : await context.providers.get(app.provider);
  return definition === null ? null : slotsOf(context, definition, name);
}

/** Warns of an app that nears the number of refresh tokens that its provider keeps per user. */
export async function warnOfSlots(
  context: VaultContext,
  definition: ProviderDefinition,
  app: string | null,
): Promise<void> {
  try {
    const slots = app === null ? null : await slotsOf(context, definition, app);
    if (slots === null) return;
    const { tokens, max } = slots;
    const message = `an app nears the number of refresh tokens that its provider keeps per user. ${slotsAdvice}`;
    context.logger.warn(message, { app, provider: definition.id, tokens, max });
  } catch (error) {
    // The grant is stored, and the count is only advice.
    if (!isGrantryError(error)) throw error;
  }
}

async function slotsOf(
  context: VaultContext,
  { refreshToken: { livePerUserAndClient: max } }: ProviderDefinition,
  app: string,
): Promise<Slots | null> {
  if (max === null) return null;
  const { db } = context.store;
  const counts = await countTokensByAccount(db, app);
  const tokens = Math.max(0, ...counts.map((each) => each.tokens)) + (await countRevocationsOfApp(db, app));
  return tokens < Math.ceil(max * warnedShare) ? null : { app, tokens, max };
}
