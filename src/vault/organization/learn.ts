import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { findGrant, type GrantRow, metadataOf, scopesOfRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { describeGrant, placeOf } from '../grant/grants.ts';
import { openToken } from '../grant/tokens.ts';
import type { Grant } from '../types.ts';
import type { TokenInHand } from './ask.ts';
import { keepTold } from './keep.ts';
import { reachOf } from './reached.ts';
import { type Reading, readOrganizations, readOwner } from './read.ts';
import { sharersOf } from './shared.ts';
import { listed, organizationIdOf, picked, type Reach, type ToldOrganization } from './told.ts';
import { severalMessage, sharedMessage } from './words.ts';

/** A token that ends sooner may end on its way. */
const lifeMsMin = 10_000;

/**
 * Reads the organisation and the owner of a grant that was just stored, with its own access token, and keeps them with it.
 *
 * The grant is stored already, and this is only knowledge: nothing here fails it, spends a refresh or takes long. What could
 * not be read now is read by the next health check.
 *
 * @param isNew true right after a consent
 * @returns the grant as it is now
 */
export async function learnOrganization(
  context: VaultContext,
  grant: Grant,
  { isNew }: { readonly isNew: boolean },
): Promise<Grant> {
  const { tenant, provider } = grant;
  try {
    return (await learn(context, checkKey(grant), isNew)) ?? grant;
  } catch (error) {
    if (!isGrantryError(error)) throw error;
    // A database that went away since keeps what was stored.
    const code = isVaultDown(error) ? 'the database does not answer' : error.code;
    context.logger.warn('the organisation of a grant could not be read', { tenant, provider, code });
    return grant;
  }
}

async function learn(context: VaultContext, key: CheckedKey, isNew: boolean): Promise<Grant | null> {
  if (context.closing()) return null;
  const row = await findGrant(context.store.db, key);
  if (row === undefined || row.state === 'disconnected') return null;
  const inHand = await tokenOf(context, row);
  if (inHand === null) return null;
  const scopes = scopesOfRow(row);
  const [reading, owner] = await Promise.all([
    readOrganizations(context, inHand, scopes),
    readOwner(context, inHand, scopes),
  ]);
  const organizations = reading.kind === 'told' ? reading.organizations : [];
  const { id, authorized_generation: authorizedGeneration } = row;
  const reach = await reachOf(context, inHand, { told: organizations, scopes });
  const told = { organizations, owner, isNew, reach };
  const kept = await keepTold(context, inHand.definition, { ...key, id, authorizedGeneration }, told);
  if (kept === undefined) return null;
  warn(context, row, kept, { reading, reach, inHand });
  await warnOfSharers(context, inHand, kept, organizations);
  return describeGrant(context, kept);
}

/** The stored access token with its place; null if it has ended, or there is none. */
async function tokenOf(context: VaultContext, row: GrantRow): Promise<TokenInHand | null> {
  const endsAt = row.token_expiry === null ? 0 : Date.parse(row.token_expiry);
  if (endsAt < context.world.now() + lifeMsMin) return null;
  const token = openToken(await context.keys.pin(row.client_id, { fresh: true }), row, 'access_token');
  if (token === null) return null;
  const definition = await context.providers.require(row.provider);
  const metadata = metadataOf(row);
  const { dc } = await placeOf(context, row, metadata);
  return { definition, token, place: { dc, metadata } };
}

/** Says in the log what the reading found that a person should look at. */
function warn(
  context: VaultContext,
  { client_id: tenant, provider, ...row }: GrantRow,
  kept: GrantRow,
  { reading, reach, inHand: { definition } }: { reading: Reading; reach: Reach; inHand: TokenInHand },
): void {
  const { logger } = context;
  if (reading.kind === 'away' || reading.kind === 'refused') {
    const { status } = reading;
    logger.warn('the organisation of a grant could not be read; a health check tries again', {
      tenant,
      provider,
      status,
    });
  }
  const organizations = reading.kind === 'told' ? reading.organizations : [];
  const before = organizationIdOf(definition, metadataOf(row));
  const now = organizationIdOf(definition, metadataOf(kept));
  if (before !== null && now !== before) {
    logger.warn('a grant is for another organisation than before', { tenant, provider, before, now });
  }
  if (reach === 'unreached' && now === before) {
    const names = listed(organizations);
    logger.warn("the API names another organisation than the grant's", { tenant, provider, org_id: now, names });
  }
  if (now === null && organizations.length > 1 && picked(organizations) === null) {
    const names = listed(organizations);
    logger.warn(severalMessage, { tenant, provider, names });
  }
}

async function warnOfSharers(
  context: VaultContext,
  { definition }: TokenInHand,
  kept: GrantRow,
  told: readonly ToldOrganization[],
): Promise<void> {
  const { client_id: tenant, provider } = kept;
  const sharers = await sharersOf(context, definition, kept, told);
  if (sharers.length === 0) return;
  const others = sharers.map((key) => key.tenant).join(', ');
  const organization = organizationIdOf(definition, metadataOf(kept));
  context.logger.warn(sharedMessage, { tenant, provider, others, organization });
}

/** Grants of an import whose organisations are still to be read. */
interface Queue {
  running: number;
  readonly waiting: (() => Promise<void>)[];
}

const queues = new WeakMap<VaultContext, Queue>();

/**
 * Reads the organisation of an imported grant in the background, a few at once: an import may have thousands of lines, and
 * none of them waits. What is not read when the vault closes is read by the next health check.
 */
export function learnLater(context: VaultContext, grant: Grant, learned: (key: GrantKey) => void): void {
  const queue = queues.get(context) ?? { running: 0, waiting: [] };
  queues.set(context, queue);
  if (queue.waiting.length >= limits.organizationReadsWaitingMax) return;
  queue.waiting.push(async () => {
    await learnOrganization(context, grant, { isNew: false });
    learned(grant);
  });
  next(context, queue);
}

function next(context: VaultContext, queue: Queue): void {
  if (queue.running >= limits.organizationReadsAtOnce) return;
  const work = queue.waiting.shift();
  if (work === undefined || context.closing()) return;
  queue.running += 1;
  // Closing waits for the reading that is under way, not for those behind it.
  context.spending
    .run(work)
    .catch((error: unknown) => context.logger.error('an organisation was not read', { error: String(error) }))
    .finally(() => {
      queue.running -= 1;
      next(context, queue);
    });
}
