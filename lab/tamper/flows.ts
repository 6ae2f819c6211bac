import { crc32 } from 'node:zlib';
import { isGrantryError } from '../../src/base/errors.ts';
import type { Vault } from '../../src/index.ts';
import { hashApiKey } from '../../src/vault/api-keys.ts';
import { completeConnectSessionOf } from '../../src/vault/connect/completion.ts';
import { openConnectLink, receiveConnectCallback, startConnect } from '../../src/vault/connect/flow.ts';
import { createConnectSession } from '../../src/vault/connect/sessions.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import type { Row } from './attacker.ts';
import { type Place, returnTo } from './place.ts';
import { attackersText, hashOf } from './values.ts';

/** The server's address in redirect URIs; nothing listens there. */
const publicUrl = 'http://127.0.0.1:8484';
const redirectUri = 'http://127.0.0.1:9/callback';
const browser = 'the-browser-of-a-user';

/** The aims of an attacker: a key, a link, a session that waits for its code, and an authorization. */
export interface Flows {
  /** A key of the run whose row is attacked. */
  readonly victimKey: string;
  /** A well-formed key of the attacker's own. */
  readonly forgedKey: string;
  isVictim(table: string, row: Row): boolean;
  /** Tries to finish the session, with the true secrets and with the attacker's. Throws if it is finished. */
  trySession(vault: Vault, what: string): Promise<void>;
  /** Tries to finish the authorization in the same ways. */
  tryAuthorization(vault: Vault, what: string): Promise<void>;
}

export async function startFlows(place: Place): Promise<Flows> {
  const context = internalsOf(place.vault).open();
  const session = { tenant: 'umbrella', provider: 'none', account: 'new', app: 'none', returnTo };
  const pending = await pendingSession(place);
  const link = await createConnectSession(context, publicUrl, session);
  const { state } = await place.vault.authorize({
    tenant: 'umbrella',
    provider: 'none',
    account: 'asked',
    redirectUri,
  });
  const random = 'B'.repeat(43);
  const victimKey = place.holder('reader-acme').key;
  const victims: Readonly<Record<string, (row: Row) => boolean>> = {
    grantry_providers: (row) => row['id'] === 'none',
    grantry_apps: (row) => row['name'] === 'none',
    grantry_api_keys: (row) => row['key_hash'] === hashApiKey(victimKey),
    grantry_connect_sessions: (row) => row['id'] === pending.id,
    grantry_authorizations: (row) => row['state_hash'] === hashOf(state),
  };
  const linkToken = link.url.slice(`${publicUrl}/connect/`.length);
  return {
    victimKey,
    forgedKey: `gry_${random}${crc32(random).toString(16).padStart(8, '0')}`,
    isVictim: (table, row) => victims[table]?.(row) === true,
    trySession: async (vault, what) => {
      const opened = internalsOf(vault).open();
      for (const completionCode of [pending.code, attackersText]) {
        await mustFail(`${what}: completed`, () => completeConnectSessionOf(opened, pending.id, { completionCode }));
      }
      await mustFail(`${what}: link`, async () => {
        const offer = await openConnectLink(opened, attackersText, attackersText);
        if (offer.kind === 'offer')
          await startConnect(opened, publicUrl, { token: attackersText, browser: attackersText });
        return offer.kind === 'offer';
      });
      // An unaltered session can still be opened.
      const offer = await openConnectLink(opened, linkToken, null);
      if (offer.kind !== 'offer') throw new Error(`${what}: the link next door is ${offer.reason}`);
    },
    tryAuthorization: async (vault, what) => {
      for (const used of [state, attackersText]) {
        const callback = `${redirectUri}?code=stolen&state=${used}`;
        await mustFail(`${what}: callback`, () => vault.completeAuthorization(callback));
      }
    },
  };
}

/** Connects through a browser until the tokens wait for the completion code. */
async function pendingSession(place: Place): Promise<{ id: string; code: string }> {
  const context = internalsOf(place.vault).open();
  const input = { tenant: 'umbrella', provider: 'none', account: 'pending', app: 'none', returnTo };
  const session = await createConnectSession(context, publicUrl, input);
  const token = session.url.slice(`${publicUrl}/connect/`.length);
  const started = await startConnect(context, publicUrl, { token, browser });
  if (started.kind !== 'go') throw new Error(`the session did not start: ${started.reason}`);
  const consent = await place.simulator.fetch(new Request(started.url, { redirect: 'manual' }));
  const back = new URL(consent.headers.get('location') ?? '');
  const code = back.searchParams.get('code') ?? '';
  place.hosts.own(code, { kind: 'code', tenant: 'umbrella', origin: place.origin('none') });
  const segment = back.pathname.split('/').at(-1) ?? '';
  const came = await receiveConnectCallback(context, publicUrl, { context: segment, search: back.search, browser });
  if (came.kind !== 'pending') throw new Error(`the session is ${came.kind}`);
  return { id: session.id, code: came.completionCode };
}

async function mustFail(what: string, run: () => Promise<unknown>): Promise<void> {
  try {
    if ((await run()) === false) return;
  } catch (error) {
    if (isGrantryError(error) && error.code !== 'internal') return;
    throw new Error(what, { cause: error });
  }
  throw new Error(`${what} although its row was altered`);
}
