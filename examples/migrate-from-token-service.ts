/**
 * Moves an application from its own token service to a vault, in its own database.
 *
 *     GRANTRY_DATABASE=postgres://… ZOHO_CLIENT_ID=… ZOHO_CLIENT_SECRET=… node migrate-from-token-service.ts acme
 *
 * Stop everything that writes to the old table first, and keep a backup of it.
 */
import { GrantryError, OAuthTokenService, openVault } from 'grantry';

const [tenant = 'acme', provider = 'zoho_crm'] = process.argv.slice(2);

// Seals every row of an `oauth_tokens` table that another program made; does nothing where that was done before.
await using vault = await openVault({ takeOver: true });

for (let cursor: string | undefined; ; ) {
  const { items, next } = await vault.grants.list({ cursor });
  for (const grant of items) console.log(`${grant.tenant} ${grant.provider} ${grant.state} ${grant.dc ?? ''}`);
  if (next === null) break;
  cursor = next;
}

// From here on the application calls what it always called.
const tokens = new OAuthTokenService(vault, { fallback: { tenant, provider, variable: 'ZOHO_REFRESH_TOKEN' } });
const credentials = {
  clientId: process.env['ZOHO_CLIENT_ID'] ?? '',
  clientSecret: process.env['ZOHO_CLIENT_SECRET'] ?? '',
};

try {
  const accessToken = await tokens.getAccessToken(tenant, provider, credentials);
  const record = await tokens.getTokenRecord(tenant, provider);
  console.log(`A token of ${accessToken.length} characters, good until ${record?.tokenExpiry?.toISOString()}.`);
} catch (error) {
  if (!(error instanceof GrantryError)) throw error;
  console.error(`${error.message} ${error.action}`);
  process.exitCode = 1;
}
