import type { WriteTx } from '../database.ts';

/** Lets every grant of an app try again at once: a change of the app may have fixed their failure. */
export async function clearBackOff(tx: WriteTx, app: string): Promise<void> {
  await tx
    .updateTable('oauth_tokens')
    .set({ retry_at: null })
    .where('app', '=', app)
    .where('state', 'in', ['active', 'uncertain'])
    .where('retry_at', 'is not', null)
    .execute();
}

/** Lets one grant try again at once: its place is another one now. */
export async function clearBackOffOf(tx: WriteTx, grant: { tenant: string; id: string }): Promise<void> {
  await tx
    .updateTable('oauth_tokens')
    .set({ retry_at: null })
    .where('client_id', '=', grant.tenant)
    .where('id', '=', grant.id)
    .execute();
}
