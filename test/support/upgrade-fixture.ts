/**
 * A database with each kind of row, kept as text for every released version: `scripts/upgrade-fixture.ts` writes it, and
 * `test/vault/upgrade.test.ts` upgrades it and reads each row through the vault.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import type { OpenedStore, StoreKind } from '../../src/storage/store.ts';

/** The secrets of a fixture that no database holds in the clear. */
export interface FixtureSecrets {
  readonly rootKey: string;
  readonly apiKey: string;
  readonly linkToken: string;
  readonly sessionId: string;
  readonly completionCode: string;
  readonly state: string;
}

export const fixtureFolder = join(import.meta.dirname, '..', 'fixtures');

export const example = {
  id: 'example',
  endpoints: {
    authorization: 'https://as.example/authorize',
    token: 'https://as.example/token',
    revocation: 'https://as.example/revoke',
  },
  tokenLimit: { requests: 10, windowSeconds: 600 },
  refreshToken: { rotation: 'strict' },
  api: { hosts: ['https://api.example'] },
} as const;

export const publicUrl = 'http://127.0.0.1:8484';
export const redirectUri = 'http://127.0.0.1:9/callback';
export const returnTo = 'https://app.example/done';
export const browser = 'the-browser-of-the-fixture';

/** A request to the provider, as its form and the client's credentials. */
export interface ProviderRequest {
  readonly url: string;
  readonly form: URLSearchParams;
}

/** A world whose provider answers as a test says. `undefined` breaks the connection after the request was sent. */
export function worldWith(answer: (request: ProviderRequest) => Response | undefined): World {
  return {
    ...systemWorld(),
    fetch: async (url, init) => {
      init.beforeSend?.();
      const response = answer({ url, form: new URLSearchParams(typeof init.body === 'string' ? init.body : '') });
      if (response === undefined) throw new Error('the connection broke');
      return response;
    },
  };
}

export function tokens(name: string): Response {
  return Response.json({
    access_token: `access-${name}`,
    refresh_token: `refresh-${name}`,
    token_type: 'Bearer',
    expires_in: 3_600,
  });
}

/** Loads a fixture into an empty database that then looks as if it had always been there. */
export async function loadFixture(store: OpenedStore, version: string): Promise<void> {
  const text = readFileSync(join(fixtureFolder, version, `${store.kind}.sql`), 'utf8');
  await store.transaction(
    async (tx) => {
      for (const statement of text.split(/;\n+/)) {
        if (statement.trim() !== '') await sql.raw(statement).execute(tx);
      }
    },
    { long: true },
  );
  const { location, timeline } = await store.location();
  await store.db.updateTable('grantry_instance').set({ location, timeline }).execute();
}

export function readSecrets(kind: StoreKind, version: string): FixtureSecrets {
  return JSON.parse(readFileSync(join(fixtureFolder, version, `secrets.${kind}.json`), 'utf8'));
}
