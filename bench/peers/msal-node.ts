import { ConfidentialClientApplication, type INetworkModule } from '@azure/msal-node';

import { accessTokenOf, type Contender, lifetimeSeconds, perGrant } from '../contender.ts';

const authority = 'https://login.microsoftonline.com/';

/**
 * One cache for all grants takes time in proportion to its tokens. So, as the vendor advises, each grant has its own
 * cache. An application object takes some tens of kilobytes, so there are fewer grants.
 */
export async function msalNode(grants: number): Promise<Contender> {
  const clientFor = await perGrant(grants, async (key) => {
    const client = new ConfidentialClientApplication({
      auth: {
        clientId: 'bench',
        clientSecret: 'bench-secret',
        authority: `${authority}${key.tenant}`,
        knownAuthorities: ['login.microsoftonline.com'],
        authorityMetadata: JSON.stringify(metadata(key.tenant)),
      },
      system: { networkClient: answering(accessTokenOf(key)) },
    });
    await client.acquireTokenByClientCredential({ scopes: ['https://api.example/.default'] });
    return client;
  });
  return {
    name: '@azure/msal-node',
    grants,
    note: 'an application with its own cache per grant in a Map, acquireTokenByClientCredential() from that cache',
    async token(key) {
      const answer = await clientFor(key).acquireTokenByClientCredential({ scopes: ['https://api.example/.default'] });
      return answer?.accessToken ?? '';
    },
  };
}

function metadata(tenant: string): object {
  const base = `${authority}${tenant}`;
  return {
    issuer: `${base}/v2.0`,
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    token_endpoint: `${base}/oauth2/v2.0/token`,
    end_session_endpoint: `${base}/oauth2/v2.0/logout`,
    jwks_uri: `${base}/discovery/v2.0/keys`,
  };
}

/** Answers the one token request that fills the cache; no request leaves the machine. */
function answering(accessToken: string): INetworkModule {
  const body = {
    token_type: 'Bearer',
    expires_in: lifetimeSeconds,
    ext_expires_in: lifetimeSeconds,
    access_token: accessToken,
  };
  return {
    sendGetRequestAsync: async () => {
      throw new Error('a cached token needs no request');
    },
    // The caller names the body's type, which is unknown here; the library parses the body.
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
    sendPostRequestAsync: async <T>() => ({ status: 200, headers: {}, body: body as T }),
  };
}
