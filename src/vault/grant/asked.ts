import { changeGrantScopes } from '../../storage/statements/grant-scopes.ts';
import type { ChangeTransaction } from '../changing.ts';

/** Writes down what a consent asked for. Of tokens that were stored by hand it is not known. */
export async function noteAsked(
  { tx }: ChangeTransaction,
  grant: { tenant: string; grantId: string },
  { asked = [] }: { readonly asked?: readonly string[] },
): Promise<void> {
  await changeGrantScopes(tx, grant, (known) => ({ ...known, asked, assumed: [] }));
}
