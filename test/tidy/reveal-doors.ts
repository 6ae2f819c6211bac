/**
 * Every file of the product from which plaintext can leave a `Secret`, each with its reason. A call of `reveal()` in any
 * other file fails the house rules; so does a file listed here that no longer calls it.
 */
export const revealDoors: Readonly<Record<string, string>> = {
  'src/adapters/zoho/given-grant.ts': 'hashes client id and refresh token into the name of a grant without one',
  'src/adapters/zoho/import-given.ts': 'writes the credentials of a hand-written manager as a line for the vault',
  'src/base/network/tunnel.ts': 'logs in at the egress proxy, which stands between this process and the providers',
  'src/cli/import/importer.ts':
    'compares the refresh tokens of the files of one run, and writes a file as a line for the vault',
  'src/cli/commands/key.ts': 'prints an API key, the one time that it is shown',
  'src/client/http.ts': 'sends the API key to the server it is for',
  'src/client/inputs.ts': 'sends client secrets and tokens to the server that keeps them',
  'src/server/routes/keys.ts': 'answers with an API key, the one time that it is shown',
  'src/server/server.ts': 'takes the administrator’s key from its file',
  'src/crypto/fingerprint.ts': 'names a secret by a keyed hash',
  'src/crypto/pinned-tenant.ts': 'seals a secret',
  'src/oauth/account.ts': 'reads whose account a token endpoint’s answer is about',
  'src/oauth/answer.ts': 'reads a token endpoint’s answer, which holds tokens',
  'src/oauth/callback.ts': 'keeps a code out of the metadata',
  'src/oauth/salvage.ts': 'finds the tokens in an answer that is broken',
  'src/oauth/authorization-url.ts': 'hashes the PKCE verifier into its challenge',
  'src/oauth/client-authentication.ts': 'puts the client secret where the provider expects it, or signs with it',
  'src/oauth/discovery.ts': 'reads a metadata document, which arrives as carefully as an answer with tokens',
  'src/oauth/enhance.ts': 'sends the refresh token that gains scopes, and puts its deputy into the address of the page',
  'src/oauth/requests.ts': 'puts code, verifier and refresh token into the form body',
  'src/oauth/shown.ts': 'compares the words of an answer with the secrets that were sent, so as not to show them',
  'src/oauth/revoke.ts': 'puts the token to be revoked into the form body, and reads the answer',
  'src/vault/app/apps.ts': 'checks and seals the client secrets of an app',
  'src/vault/connect/completion.ts': 'packs tokens that wait for a completion code to be sealed, and unpacks them',
  'src/vault/organization/ask.ts': 'asks the API of the provider that issued a token whose organisation it is for',
  'src/vault/hand-out/held-token.ts': 'hands the access token to the caller',
  'src/vault/checks.ts': 'checks a token that was handed in',
  'src/vault/grant/check-metadata.ts': 'compares metadata with the tokens that came with it',
  'src/vault/refresh/save.ts': 'packs a token set to be sealed',
  'src/vault/spool/head.ts': 'packs an answer to be sealed into the spool, and unpacks it',
  'src/vault/grant/tokens.ts': 'unpacks a candidate’s token set',
};
