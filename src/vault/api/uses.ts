import { LRUCache } from 'lru-cache';
import { codeOf, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { ScopeUse } from '../../storage/schema.ts';
import { changeGrantScopes } from '../../storage/statements/grant-scopes.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/** Memory keeps the calls of so many grants until they are written. */
const grantsMax = 2_000;
/** Kinds of calls per grant, in memory and in its row. The one that is not made for the longest time goes first. */
const kindsMax = 64;
/** The parts of a path that tell which things a call is about. */
const partsMax = 3;

interface Noted {
  readonly key: CheckedKey;
  readonly uses: Map<string, ScopeUse>;
}

const ofVault = new WeakMap<VaultContext, LRUCache<string, Noted>>();

/** A call that was made, and whether the API said that a scope is missing. */
export interface MadeCall {
  readonly method: string;
  readonly url: string;
  readonly isScopeMissing: boolean;
}

/** Notes a call of a grant in memory: a person who narrows its scopes sees what is used. */
export function noteUse(context: VaultContext, key: CheckedKey, made: MadeCall): void {
  const noted = ofVault.get(context) ?? new LRUCache<string, Noted>({ max: grantsMax });
  ofVault.set(context, noted);
  const name = JSON.stringify([key.tenant, key.provider, key.account]);
  const { uses } = noted.get(name) ?? { uses: new Map<string, ScopeUse>() };
  const call = kindOf(made);
  const at = context.world.now();
  const before = uses.get(call) ?? { call, refused: 0, count: 0, first_at: at, last_at: at };
  if (uses.size >= kindsMax && !uses.has(call)) return;
  const refused = before.refused + (made.isScopeMissing ? 1 : 0);
  uses.set(call, { ...before, refused, count: before.count + 1, last_at: at });
  noted.set(name, { key, uses });
}

/** Writes what was noted since the last time. What cannot be written is forgotten: it is advice. */
export async function writeUses(context: VaultContext): Promise<void> {
  const noted = ofVault.get(context);
  if (noted === undefined || noted.size === 0) return;
  ofVault.delete(context);
  for (const { key, uses } of noted.values()) {
    try {
      const row = await findGrant(context.store.db, key);
      if (row === undefined || row.state === 'disconnected') continue;
      const grant = { tenant: key.tenant, grantId: row.id };
      await changing(context, ({ tx }) =>
        changeGrantScopes(tx, grant, (known) => ({ ...known, uses: merged(known.uses, uses) })),
      );
    } catch (error) {
      if (!isGrantryError(error)) throw error;
      context.logger.debug('the calls of a grant could not be noted', { tenant: key.tenant, code: codeOf(error) });
    }
  }
}

function merged(stored: readonly ScopeUse[], news: ReadonlyMap<string, ScopeUse>): ScopeUse[] {
  const all = new Map(stored.map((use) => [use.call, use]));
  for (const use of news.values()) {
    const old = all.get(use.call);
    const sum = { refused: use.refused + (old?.refused ?? 0), count: use.count + (old?.count ?? 0) };
    all.set(use.call, { ...use, ...sum, first_at: old?.first_at ?? use.first_at });
  }
  return [...all.values()].toSorted((one, other) => other.last_at - one.last_at).slice(0, kindsMax);
}

/** Names the kind of a call: method, host and the first parts of the path. Ids and secrets in it are left out; a name may stay. */
function kindOf({ method, url }: MadeCall): string {
  const { host, pathname } = new URL(url);
  const parts = pathname.split('/').filter((part) => part !== '');
  const shown = parts.slice(0, partsMax).map((part) => (isPlain(part) ? part : '…'));
  return `${method} ${host}/${shown.join('/')}`;
}

/** True for a part that may name a thing of the API: `v2.1`, `Leads`, `mail_merge`. */
function isPlain(part: string): boolean {
  return /^(?:v\d{1,3}(?:\.\d{1,3})?|[A-Za-z][A-Za-z_-]{0,23})$/.test(part);
}
