/**
 * Uses a grant: an API call through the vault, and the token itself for code that makes its own calls.
 *
 *     node token.ts acme zoho_crm '/crm/v8/Leads?fields=Last_Name'
 */
import { type GrantKey, GrantryError, openVault } from 'grantry';

const [tenant = 'acme', provider = 'zoho_crm', path = '/crm/v8/org'] = process.argv.slice(2);
const key: GrantKey = { tenant, provider };

await using vault = await openVault();

try {
  // The token, the tenant's data centre and its organisation are put in; an expired token is replaced, and the call repeated.
  const response = await vault.fetch(key, path);
  console.log(`${response.status} ${await response.text()}`);

  // For a client that wants the token: good for five minutes at least.
  const token = await vault.getAccessToken(key, { minValidity: 300 });
  console.log(`Generation ${token.generation}, good until ${token.expiresAt.toISOString()}.`);
} catch (error) {
  if (!(error instanceof GrantryError)) throw error;
  console.error(`${error.message} ${error.action}`);
  process.exitCode = error.retryable ? 5 : 1;
}
