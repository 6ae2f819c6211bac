import { AsyncLocalStorage } from 'node:async_hooks';

import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { genericOAuth } from 'better-auth/plugins';

import type { Endpoint } from './messages.ts';
import type { LossPeer } from './peer.ts';
import type { PeerStore } from './store.ts';

const nowhere: Endpoint = { origin: 'http://127.0.0.1:9', clientId: '', clientSecret: '' };

/** Its generic OAuth provider over its own tables in the same file; `refreshToken` reads, spends and saves. */
export const betterAuthPeer: LossPeer = {
  prepare: async (store) => {
    const { runMigrations } = await getMigrations(authOf(store, nowhere).options);
    await runMigrations();
    const now = new Date().toISOString();
    const user = store.db.prepare('insert into user values (?, ?, ?, 1, null, ?, ?)');
    const account = store.db.prepare(
      `insert into account (id, accountId, providerId, userId, accessToken, refreshToken, createdAt, updatedAt)
       values (?, ?, 'lab', ?, ?, ?, ?, ?)`,
    );
    for (const tenant of store.tenants()) {
      const grant = store.read(tenant);
      if (grant === undefined) continue;
      user.run(tenant, tenant, `${tenant}@lab.example`, now, now);
      account.run(tenant, tenant, tenant, grant.accessToken, grant.refreshToken, now, now);
    }
  },
  open: async (store, endpoint) => {
    const spendingNow = new AsyncLocalStorage<() => void>();
    const { fetch } = globalThis;
    // The only place where its sending can be observed: it makes many look-ups before.
    globalThis.fetch = (...request) => {
      spendingNow.getStore()?.();
      return fetch(...request);
    };
    const auth = authOf(store, endpoint);
    await auth.$context;
    return async (tenant, spending) => {
      try {
        const body = { accountId: tenant, userId: tenant };
        await spendingNow.run(spending, () => auth.api.refreshToken({ body }));
      } catch (error) {
        // It reports every failure alike and keeps the grant; whether the grant is lost shows at the end.
        throw new Error('not refreshed', { cause: error });
      }
    };
  },
};

function authOf(store: PeerStore, { origin, clientId, clientSecret }: Endpoint) {
  return betterAuth({
    database: store.db,
    secret: 'a secret of the benchmark, 32 characters',
    baseURL: 'http://localhost:3000',
    telemetry: { enabled: false },
    logger: { disabled: true },
    plugins: [
      genericOAuth({
        config: [
          {
            providerId: 'lab',
            clientId,
            clientSecret,
            authorizationUrl: `${origin}/authorize`,
            tokenUrl: `${origin}/token`,
          },
        ],
      }),
    ],
  });
}
