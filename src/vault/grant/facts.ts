import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';

/** The columns of a grant that decide where its tokens go. */
export type Placed = Pick<GrantRow, 'provider' | 'account' | 'app' | 'metadata'>;

/**
 * The facts that decide where a grant's tokens go: provider, account, app, data centre, API domain, environment. The seals
 * of its tokens bind them, so a row that another program has pointed elsewhere opens no token.
 */
export type Facts = readonly string[];

/** Members of a grant's metadata that are facts. Metadata that no seal vouches for never passes them on. */
export const factMembers = ['dc', 'api_domain', 'environment'] as const;

/** The facts of a grant's row. */
export function factsOf(row: Placed): Facts {
  const metadata = metadataOf(row);
  return [row.provider, row.account, row.app ?? '', ...factMembers.map((name) => factText(metadata[name]))];
}

/**
 * The facts of a value that belongs to no metadata: a queued revocation, or tokens of a connect session. `dc` of a revocation
 * is all that the grant's metadata said: a data centre's name, or the URL of an API host.
 */
export function factsOfQueued(row: Pick<Placed, 'provider' | 'account' | 'app'> & { dc: string | null }): Facts {
  return [row.provider, row.account, row.app ?? '', row.dc ?? '', '', ''];
}

/** The owner of a token as its seal told it, for the revocation of a grant that is a tombstone by now. */
export function issuedTo<R extends Placed>(row: R, [provider = '', account = '', app = '', ...place]: Facts): R {
  const members = factMembers.map((name, index) => [name, place[index] ?? ''] as const);
  const metadata = Object.fromEntries(members.filter(([, text]) => text !== '' && !text.startsWith('\0')));
  return { ...row, provider, account, app: app || null, metadata: JSON.stringify(metadata) };
}

/** True if both rows send their tokens to the same place. */
export function sameFacts(one: Facts, other: Facts): boolean {
  return one.length === other.length && one.every((fact, index) => fact === other[index]);
}

/** Writes a member of metadata as one text. Any other value than a plain text is marked, so that no two share a form. */
function factText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string' && value.isWellFormed() && !value.startsWith('\0')) return value;
  return `\0${JSON.stringify(value)}`;
}
