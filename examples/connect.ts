/**
 * Connects a tenant: prints the URL to open, waits for the provider to send the browser back, stores the grant.
 *
 *     ZOHO_CLIENT_ID=… ZOHO_CLIENT_SECRET=… node connect.ts acme zoho_crm
 *
 * Register http://127.0.0.1:8765/callback as a redirect URI of the client first.
 */
import { createServer } from 'node:http';

import { GrantryError, openVault } from 'grantry';

const [tenant = 'acme', provider = 'zoho_crm'] = process.argv.slice(2);
const redirectUri = 'http://127.0.0.1:8765/callback';

await using vault = await openVault();

try {
  await vault.apps.put('example', {
    provider,
    clientId: process.env['ZOHO_CLIENT_ID'] ?? '',
    clientSecret: process.env['ZOHO_CLIENT_SECRET'] ?? '',
    redirectUri,
    scopes: ['ZohoCRM.modules.READ', 'ZohoCRM.org.READ'],
  });
  const { url } = await vault.authorize({ tenant, provider, app: 'example', redirectUri });
  const callback = nextCallback();
  console.log(`Open this in a browser:\n${url}`);
  const grant = await vault.completeAuthorization(await callback);
  console.log(`${grant.tenant} is connected to ${grant.provider} in the data centre ${grant.dc}.`);
} catch (error) {
  if (!(error instanceof GrantryError)) throw error;
  console.error(`${error.message} ${error.action}`);
  process.exitCode = 1;
}

/** The URL of the first request for the redirect URI's path. */
function nextCallback(): Promise<URL> {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', redirectUri);
      if (url.pathname !== '/callback') {
        response.writeHead(404).end();
        return;
      }
      response.end('You can close this window.\n');
      server.close();
      resolve(url);
    });
    server.on('error', reject);
    server.listen(8765, '127.0.0.1');
  });
}
