import { AsyncLocalStorage } from 'node:async_hooks';

import { JoseKey } from '@atproto/jwk-jose';
import { OAuthClient, type Session, TokenRefreshError } from '@atproto/oauth-client';

import type { Endpoint } from './messages.ts';
import { type LossPeer, RefusedError } from './peer.ts';
import type { PeerStore } from './store.ts';

const issuer = 'https://auth.example.com';
const pds = 'https://pds.example.com';
/** The lock's lifetime and retry time in its documentation's example of a shared lock. */
const lockMs = 45_000;
const lockTries = 10;
const lockPauseMs = 200;

/**
 * The client with a session store and a lock that its processes share. Its look-ups before a refresh are answered in
 * the process. The refresh itself goes to the lab's provider, whose answer gains the members that the client requires.
 */
export const atprotoPeer: LossPeer = {
  prepare: async (store) => {
    const key = await JoseKey.generate(['ES256']);
    store.db.exec('create table keys (jwk text)');
    store.db.prepare('insert into keys (jwk) values (?)').run(JSON.stringify(key.privateJwk));
  },
  open: async (store, endpoint) => {
    const dpopKey = await JoseKey.fromImportable(String(store.db.prepare('select jwk from keys').get()?.['jwk']));
    const spending = new AsyncLocalStorage<() => void>();
    const client = new OAuthClient({
      responseMode: 'query',
      clientMetadata: {
        client_id: 'https://app.example.com/client.json',
        redirect_uris: ['https://app.example.com/callback'],
        scope: 'atproto',
        token_endpoint_auth_method: 'none',
        dpop_bound_access_tokens: true,
      },
      identityResolver: { resolve: async (did) => identityOf(did) },
      stateStore: { get: async () => undefined, set: async () => {}, del: async () => {} },
      sessionStore: {
        get: async (sub) => sessionOf(store, sub, dpopKey),
        set: async (sub, { tokenSet }) => {
          const { access_token: accessToken, refresh_token: refreshToken = '' } = tokenSet;
          store.save({ tenant: tenantOf(sub), accessToken, refreshToken });
        },
        del: async (sub) => store.bury(tenantOf(sub)),
      },
      runtimeImplementation: {
        createKey: (algorithms) => JoseKey.generate(algorithms),
        getRandomValues: (length) => crypto.getRandomValues(new Uint8Array(length)),
        digest: async (bytes, { name }) =>
          new Uint8Array(await crypto.subtle.digest(`SHA-${name.slice('sha'.length)}`, bytes)),
        requestLock: (name, work) => whileLocked(store, name, work),
      },
      fetch: async (input, init) => {
        const request = new Request(input, init);
        const known = documents.get(request.url);
        if (known !== undefined) return Response.json(known);
        spending.getStore()?.();
        return spend(endpoint, request);
      },
    });
    return async (tenant, spendingNow) => {
      try {
        await spending.run(spendingNow, () => client.restore(`did:web:${tenant}.example.com`, true));
      } catch (error) {
        if (error instanceof TokenRefreshError) throw new RefusedError('the session was deleted', { cause: error });
        throw error;
      }
    };
  },
};

const documents = new Map<string, unknown>([
  [`${pds}/.well-known/oauth-protected-resource`, { resource: pds, authorization_servers: [issuer] }],
  [
    `${issuer}/.well-known/oauth-authorization-server`,
    {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      pushed_authorization_request_endpoint: `${issuer}/par`,
      require_pushed_authorization_requests: true,
      client_id_metadata_document_supported: true,
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none'],
      dpop_signing_alg_values_supported: ['ES256'],
      scopes_supported: ['atproto'],
    },
  ],
]);

type Resolver = NonNullable<ConstructorParameters<typeof OAuthClient>[0]['identityResolver']>;
type IdentityInfo = Awaited<ReturnType<Resolver['resolve']>>;

function identityOf(identifier: string): IdentityInfo {
  const did = `did:web:${tenantOf(identifier)}.example.com` as const;
  const service = { id: '#atproto_pds' as const, type: 'AtprotoPersonalDataServer' as const, serviceEndpoint: pds };
  return { did, handle: 'handle.invalid', didDoc: { id: did, service: [service] } };
}

function tenantOf(sub: string): string {
  return sub.slice('did:web:'.length, -'.example.com'.length);
}

function sessionOf(store: PeerStore, sub: string, dpopKey: JoseKey): Session | undefined {
  const grant = store.read(tenantOf(sub));
  if (grant === undefined) return undefined;
  return {
    dpopKey,
    authMethod: { method: 'none' },
    tokenSet: {
      iss: issuer,
      sub: `did:web:${grant.tenant}.example.com`,
      aud: pds,
      scope: 'atproto',
      token_type: 'DPoP',
      access_token: grant.accessToken,
      refresh_token: grant.refreshToken,
    },
  };
}

async function whileLocked<T>(store: PeerStore, name: string, work: () => T | PromiseLike<T>): Promise<T> {
  for (let tries = 0; !store.lock(name, lockMs); tries += 1) {
    if (tries >= lockTries) throw new Error('the lock is taken');
    await new Promise((resolve) => setTimeout(resolve, lockPauseMs));
  }
  try {
    return await work();
  } finally {
    store.unlock(name);
  }
}

async function spend({ origin, clientId, clientSecret }: Endpoint, request: Request): Promise<Response> {
  const body = new URLSearchParams(await request.text());
  body.set('client_id', clientId);
  body.set('client_secret', clientSecret);
  const response = await fetch(`${origin}/token`, { method: 'POST', body });
  const answer: unknown = await response.json();
  const members = typeof answer === 'object' && answer !== null ? answer : {};
  if (!response.ok) return Response.json(members, { status: response.status });
  // Without rotation the answer has no refresh token, and the client would forget the one it has.
  const kept = { refresh_token: body.get('refresh_token') };
  return Response.json({ ...kept, ...members, sub: 'did:web:lab.example.com', token_type: 'DPoP', scope: 'atproto' });
}
