import { integrityFailed, type PinnedTenant } from '../../crypto/tenant-keys.ts';
import { clearBackOffOf } from '../../storage/statements/back-off.ts';
import { listCandidatesOfGrant, replaceCandidateSeal } from '../../storage/statements/candidates.ts';
import { bindApp, type GrantRow, lockGrant, resealGrant, updateMetadata } from '../../storage/statements/grants.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { isoNow, type VaultContext } from '../context.ts';
import { type Facts, factsOf, sameFacts } from './facts.ts';
import { isGenuine, openToken, resealCandidate, sealTokens } from './tokens.ts';

/** New values of the columns that may hold facts; what is left out stays. */
export interface ColumnNews {
  readonly app?: string | null;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly scopes?: string;
}

/**
 * Changes the app, the metadata and the scopes of a grant. If that changes a fact which its seals bind, its tokens and
 * candidates are sealed anew in the same transaction. The caller has locked the row.
 *
 * @throws {GrantryError} `integrity_failed` if a fact changes and another program has altered the row
 */
export async function changeColumns(
  context: VaultContext,
  change: ChangeTransaction,
  { row, tenantKeys }: { row: GrantRow; tenantKeys: PinnedTenant },
  news: ColumnNews,
): Promise<GrantRow> {
  const { tx } = change;
  const { client_id: tenant, id } = row;
  const { app = row.app, metadata, scopes = row.scopes } = news;
  const next: GrantRow = {
    ...row,
    app,
    scopes,
    ...(metadata === undefined ? {} : { metadata: JSON.stringify(metadata) }),
  };
  const facts = { from: factsOf(row), to: factsOf(next) };
  if (!sameFacts(facts.from, facts.to)) {
    const { generation } = row;
    const tokens = {
      accessToken: openToken(tenantKeys, row, 'access_token'),
      refreshToken: openToken(tenantKeys, row, 'refresh_token'),
    };
    await resealGrant(tx, { tenant, id }, sealTokens(tenantKeys, { id, generation, facts: facts.to }, tokens));
    await resealCandidates(context, change, { row, tenantKeys }, facts);
    // Such as another data centre: the failure of the last try was about the old one.
    if (row.state === 'active' && row.retry_at !== null) await clearBackOffOf(tx, { tenant, id });
  }
  if (app !== null && app !== row.app) await bindApp(tx, { tenant, id, app });
  if (metadata === undefined) return next;
  const at = isoNow(context);
  await updateMetadata(tx, { tenant, id, at }, { metadata, ...(news.scopes === undefined ? {} : { scopes }) });
  return { ...next, updated_at: at };
}

/** Names the app that refreshes a grant from now on. A grant that was disconnected meanwhile keeps its own. */
export async function bindAppOf(
  context: VaultContext,
  { tenant, id, app }: { tenant: string; id: string; app: string },
): Promise<void> {
  const tenantKeys = await context.keys.pin(tenant, { fresh: true });
  await changing(context, async (change) => {
    const row = await lockGrant(change.tx, tenant, id);
    if (row === undefined || row.state === 'disconnected') return;
    await changeColumns(context, change, { row, tenantKeys }, { app });
  });
}

/** Seals the candidates of a grant anew for its new facts. One that does not open stays as it is. */
export async function resealCandidates(
  context: VaultContext,
  { tx }: ChangeTransaction,
  { row, tenantKeys }: { row: Pick<GrantRow, 'client_id' | 'id'>; tenantKeys: PinnedTenant },
  facts: { from: Facts; to: Facts },
): Promise<void> {
  if (sameFacts(facts.from, facts.to)) return;
  for (const candidate of await listCandidatesOfGrant(tx, row)) {
    const tokens = resealCandidate(tenantKeys, facts, candidate);
    const { tenant, id } = candidate;
    if (tokens !== null) await replaceCandidateSeal(tx, { tenant, id, tokens });
    else context.logger.error('a candidate does not open and is not sealed anew', { tenant, grant: row.id });
  }
}

/**
 * Returns the facts for which new tokens of a locked row are sealed: those of the row, if they are the ones under which
 * the spent token was opened, or if a stored token vouches for them.
 *
 * @param known the facts of the spent token; undefined in the spool of earlier versions
 * @throws {GrantryError} `integrity_failed` if another program has altered the row
 */
export function genuineFacts(tenantKeys: PinnedTenant, row: GrantRow, known: Facts | undefined): Facts {
  const facts = factsOf(row);
  if (known !== undefined && sameFacts(facts, known)) return facts;
  if (isGenuine(tenantKeys, row)) return facts;
  throw integrityFailed();
}
