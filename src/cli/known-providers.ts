import type { Vault } from '../vault/types.ts';
import { unknownProvider } from '../vault/unknown-provider.ts';

/** The ids of all providers. None for a key of a server that may not list them: an error is then shorter. */
export async function knownProviders(vault: Vault): Promise<readonly string[]> {
  return (await vault.providers.list().catch(() => [])).map(({ id }) => id);
}

/** @throws {GrantryError} `not_found` for a provider that there is not, with the nearest one */
export async function assertProvider(vault: Vault, provider: string): Promise<void> {
  const known = await knownProviders(vault);
  if (known.length > 0 && !known.includes(provider)) throw unknownProvider(provider, known);
}
