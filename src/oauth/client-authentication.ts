import { createPrivateKey, type KeyObject, type webcrypto } from 'node:crypto';
import {
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  modifyAssertion,
  None,
  PrivateKeyJwt,
} from 'oauth4webapi';
import { z } from 'zod';
import { GrantryError } from '../base/errors.ts';
import type { World } from '../base/world.ts';
import type { OAuthClient } from './types.ts';

/** Lifetime of a client assertion. The answer deadline is longer, but servers read the assertion on arrival. */
const assertionSeconds = 60;

/**
 * Creates the client authentication for the token and revocation endpoints: one method per provider, never two.
 *
 * @param audience The token endpoint, for signed assertions of a provider without an issuer.
 * @throws {GrantryError} `provider_misconfigured` when the app has no secret or its private key cannot be read.
 */
export function clientAuthentication(world: World, client: OAuthClient, audience: string): ClientAuth {
  const method = client.definition.clientAuthentication;
  if (method === 'none') return None();
  const secret = client.clientSecret;
  if (secret === null) {
    const dc = client.dc === null ? '' : ` for data centre ${client.dc}`;
    throw new GrantryError('provider_misconfigured', `The app has no client secret${dc}.`);
  }
  if (method === 'client_secret_post') return ClientSecretPost(secret.reveal());
  if (method === 'client_secret_basic') return ClientSecretBasic(secret.reveal());
  return signedAssertion(world, secret.reveal(), client.definition.issuer ?? audience);
}

/**
 * Signs assertions (RFC 7523 section 2.2). The issuer is the only audience. With a token endpoint as audience, an
 * attacker's server that names another server's endpoint as its own could replay an assertion.
 */
function signedAssertion(world: World, privateKey: string, audience: string): ClientAuth {
  const { key, kid } = importPrivateKey(privateKey);
  return PrivateKeyJwt(kid === undefined ? key : { key, kid }, {
    [modifyAssertion]: (_header, payload) => {
      const now = Math.floor(world.now() / 1000);
      payload['aud'] = audience;
      payload['iat'] = now;
      payload['nbf'] = now;
      payload['exp'] = now + assertionSeconds;
      payload['jti'] = Buffer.from(world.randomBytes(32)).toString('base64url');
    },
  });
}

const signingKey = z.looseObject({ kty: z.string(), kid: z.string().max(256).optional(), alg: z.string().optional() });

/** Imports PEM, or a JWK for servers that need the key's id. */
function importPrivateKey(text: string): { key: webcrypto.CryptoKey; kid: string | undefined } {
  try {
    if (!text.trimStart().startsWith('{')) {
      const key = createPrivateKey(text);
      return { key: toCryptoKey(key, undefined), kid: undefined };
    }
    const { kid, alg, ...jwk } = signingKey.parse(JSON.parse(text));
    return { key: toCryptoKey(createPrivateKey({ key: jwk, format: 'jwk' }), alg), kid };
  } catch {
    // The original error may quote the key, so it is dropped.
    throw new GrantryError('provider_misconfigured', 'The client secret is not a private key in PEM or JWK form.');
  }
}

const curves = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
]);

function toCryptoKey(key: KeyObject, alg: string | undefined): webcrypto.CryptoKey {
  const type = key.asymmetricKeyType;
  if (type === 'ed25519') return key.toCryptoKey({ name: 'Ed25519' }, false, ['sign']);
  if (type === 'rsa') {
    const name = alg?.startsWith('PS') === true ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5';
    return key.toCryptoKey({ name, hash: `SHA-${alg?.slice(2) ?? '256'}` }, false, ['sign']);
  }
  const namedCurve = curves.get(key.asymmetricKeyDetails?.namedCurve ?? '');
  if (type !== 'ec' || namedCurve === undefined) throw new Error('unsupported key type');
  return key.toCryptoKey({ name: 'ECDSA', namedCurve }, false, ['sign']);
}
