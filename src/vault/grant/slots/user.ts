import type { AccountFacts } from '../../../oauth/account.ts';
import { userIn } from '../../../storage/consent-user.ts';
import type { VaultContext } from '../../context.ts';
import { describeAccount } from '../account.ts';

/** Facts about an account that name a user. Others name an organisation, whose users have places of their own. */
const naming: readonly string[] = [
  'id_token.sub',
  'sub',
  'user_id',
  'userid',
  'uid',
  'id',
  'authed_user.id',
  'associated_user.id',
  'owner.user.id',
  'user.id',
  'athlete.id',
];

/** The user who gave a consent: the id in the metadata, else a fingerprint of what the answer told; null if it told none. */
export async function consentUser(
  context: VaultContext,
  metadata: Readonly<Record<string, unknown>>,
  account: AccountFacts = {},
): Promise<string | null> {
  const named = userIn(metadata);
  const [first] = naming.filter((name) => account[name] !== undefined);
  if (named !== null || first === undefined) return named;
  return describeAccount(context, { [first]: account[first] ?? '' });
}
