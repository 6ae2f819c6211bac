/** Consents of users in tests, up to the callback. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { receiveConnectCallback, startConnect } from '../../src/vault/connect/flow.ts';
import { createConnectSession } from '../../src/vault/connect/sessions.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from './bench.ts';

export const redirectUri = 'https://app.example/callback';
export const key = { tenant: 'acme', provider: 'strict' };

/** The callback URL of a user who consents. */
export async function consent(bench: Bench, vault: Vault): Promise<string> {
  await bench.addApp(vault, key.provider);
  const { url } = await vault.authorize({ ...key, redirectUri, scopes: ['read'] });
  const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
  return response.headers.get('location') ?? '';
}

/** The names of the files of consents. */
export function filesOf(bench: Bench): string[] {
  try {
    return readdirSync(join(bench.home, 'spool', 'consents'));
  } catch {
    return [];
  }
}

/** A connect session without a confirmation, up to its callback. */
export async function openSession(
  bench: Bench,
  vault: Vault,
): Promise<() => ReturnType<typeof receiveConnectCallback>> {
  const context = internalsOf(vault).open();
  const publicUrl = 'https://grantry.example';
  await bench.addApp(vault, key.provider);
  const { url } = await createConnectSession(context, publicUrl, { ...key, scopes: ['read'] });
  const browser = `browser-${url}`;
  const started = await startConnect(context, publicUrl, { token: url.split('/').at(-1) ?? '', browser });
  const response = await bench.simulator.fetch(
    new Request('url' in started ? started.url : '', { redirect: 'manual' }),
  );
  const { pathname, search } = new URL(response.headers.get('location') ?? '');
  const appContext = pathname.split('/').at(-1) ?? '';
  return () => receiveConnectCallback(context, publicUrl, { context: appContext, search, browser });
}
