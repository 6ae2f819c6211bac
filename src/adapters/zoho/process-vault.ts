import { checkVault } from '../../vault/checks.ts';
import { databaseName } from '../../vault/home.ts';
import { resolveVaultSettings } from '../../vault/settings.ts';
import type { Vault } from '../../vault/types.ts';

let configured: Vault | undefined;
let opening: Promise<Vault> | undefined;

/**
 * Sets the vault, or the client of a server, that the managers of this process use. Call it before their first use; without
 * it, they open the vault of the environment.
 *
 * @param vault `null` goes back to the vault of the environment. A vault given here is yours to close
 * @throws {GrantryError} `invalid_request` for anything that is no vault
 *
 * @example
 * import { openVault } from 'grantry';
 * import { configure } from 'grantry/zoho';
 *
 * const own = await openVault({ database: 'sqlite:./grantry.db' });
 * configure(own);
 */
export function configure(vault: Vault | null): void {
  configured = vault === null ? undefined : checkVault(vault);
}

/**
 * Closes the vault that was opened from the environment. A program that ends by itself need not call it: the vault closes
 * with the process. One that calls `process.exit` should.
 *
 * @example
 * await closeVault();
 */
export async function closeVault(): Promise<void> {
  const open = opening;
  opening = undefined;
  await (await open?.catch(() => undefined))?.close();
}

/** The vault of this process: the configured one, else that of the environment, opened at its first use. */
export function processVault(): Promise<Vault> {
  if (configured !== undefined) return Promise.resolve(configured);
  opening ??= openFromEnvironment().catch((error: unknown) => {
    // The next call tries again: a database may be back by then.
    opening = undefined;
    throw error;
  });
  return opening;
}

async function openFromEnvironment(): Promise<Vault> {
  const vault = await (process.env['GRANTRY_URL'] ? openClient(process.env['GRANTRY_URL']) : openDatabase());
  // A kill needs no close: the spool and the database survive it.
  process.once('beforeExit', () => void closeVault());
  return vault;
}

async function openDatabase(): Promise<Vault> {
  const { openVault } = await import('../../index.ts');
  const vault = await openVault();
  say(databaseName(resolveVaultSettings({}).database));
  return vault;
}

async function openClient(url: string): Promise<Vault> {
  const { createClient } = await import('../../client/index.ts');
  const vault = createClient({ url, apiKey: process.env['GRANTRY_API_KEY'] ?? '' });
  say(`the vault behind ${new URL(url).origin}`);
  return vault;
}

/** A program that changed one import should not have to guess where its tokens are now. */
function say(place: string): void {
  process.emitWarning(`grantry/zoho keeps its grants in ${place}.`, {
    type: 'GrantryNotice',
    code: 'GRANTRY_ZOHO_VAULT',
    detail: 'GRANTRY_HOME, GRANTRY_DATABASE or GRANTRY_URL name another vault; configure(vault) gives one.',
  });
}
