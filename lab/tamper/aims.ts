import type { Dice } from '../dice.ts';
import type { Row } from './attacker.ts';
import { mallory } from './place.ts';
import { attackersKey, attackersText, evilOrigin, hashOf } from './values.ts';

type Change = Readonly<Record<string, string | bigint | null>>;

/**
 * The changes that an attacker makes who has read the source: each would give it a token, a secret or a right if the row
 * were not checked. Random values hit them too seldom.
 */
const aims: Readonly<Record<string, (row: Row) => readonly Change[]>> = {
  grantry_providers: (row) => [
    { definition: redirected(row, 'endpoints') },
    { definition: redirected(row, 'api') },
    { definition: redirected(row, 'endpoints', 'api') },
  ],
  grantry_apps: () => [{ return_to: JSON.stringify([`${evilOrigin}/`]) }, { client_id: 'client-of-mallory' }],
  grantry_api_keys: (row) => {
    // Servers read a key again when its revision grows.
    const revision = Number(row['revision'] ?? 0);
    const read = { revision: BigInt(Number.isSafeInteger(revision) ? revision + 1 : 1) };
    const all = '["acme","globex","initech","umbrella","mallory"]';
    return [
      { key_hash: hashOf(attackersKey), ...read },
      { key_hash: hashOf(attackersKey), role: 'admin', tenants: null, ...read },
      { role: 'reader', tenants: all, ...read },
      { role: 'admin', tenants: null, ...read },
      { tenants: all, ...read },
      { parent: null, tenants: all, expires_at: null, ...read },
    ];
  },
  grantry_connect_sessions: () => [
    { tenant: mallory },
    { tenant: mallory, return_to: null, user_id: null },
    { return_to: `${evilOrigin}/` },
    { browser_hash: hashOf(attackersText), token_hash: hashOf(attackersText) },
    { completion_hash: hashOf(attackersText) },
  ],
  grantry_authorizations: () => [
    { tenant: mallory, verifier: null },
    { redirect_uri: `${evilOrigin}/callback` },
    { used_at: null },
  ],
  oauth_tokens: () => [{ client_id: mallory }, { metadata: `{"api_domain":"${evilOrigin}","dc":"evil"}` }],
};

/** Changes a row as an attacker does who knows what it wants. Null for a table without such a wish. */
export function aimed(dice: Dice, table: string, row: Row): Row | null {
  const change = dice.pick(aims[table]?.(row) ?? []);
  return change === undefined ? null : { ...row, ...change };
}

/** Points members of a stored definition at the attacker's server; one that is no JSON stays as it is. */
function redirected(row: Row, ...members: readonly string[]): string {
  const text = String(row['definition']);
  try {
    const definition: unknown = JSON.parse(text);
    if (typeof definition !== 'object' || definition === null) return text;
    const changed = members.map((name) => [name, moved(Reflect.get(definition, name))] as const);
    return JSON.stringify({ ...definition, ...Object.fromEntries(changed) });
  } catch {
    return text;
  }
}

function moved(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null).replaceAll(/https?:\/\/[^/"]+/g, evilOrigin));
}
