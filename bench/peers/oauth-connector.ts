import { Connector, RemoteStorageStrategy, ZohoOAuth } from 'oauth-connector';

import { accessTokenOf, type Contender, lifetimeSeconds, perGrant } from '../contender.ts';

/** Creates one connector per grant; it keeps its token in memory after the first read from its storage strategy. */
export async function oauthConnector(grants: number): Promise<Contender> {
  const service = new ZohoOAuth({
    clientId: 'bench',
    clientSecret: 'bench-secret',
    accountsDomain: 'accounts.zoho.eu',
    refreshToken: 'refresh',
  });
  const connectorFor = await perGrant(grants, async (key) => {
    const stored = {
      accessToken: accessTokenOf(key),
      refreshToken: 'refresh',
      expiresAt: Date.now() + lifetimeSeconds * 1000,
    };
    const storage = new RemoteStorageStrategy({ onUpload: async () => {}, onDownload: async () => stored });
    const connector = new Connector(service, storage, { graceExpiryTimeInSecs: 60 });
    await connector.getAccessToken();
    return connector;
  });
  return {
    name: 'oauth-connector',
    grants,
    note: 'a Connector per grant in a Map, its token already in memory, getAccessToken()',
    token: (key) => connectorFor(key).getAccessToken(),
  };
}
