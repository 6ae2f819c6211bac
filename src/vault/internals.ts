import { LRUCache } from 'lru-cache';
import { type GrantryError, invalidRequest } from '../base/errors.ts';
import type { CheckedKey } from '../base/ids.ts';
import type { HandOuts } from './audit/hand-outs.ts';
import type { VaultContext } from './context.ts';
import type { HandOut } from './hand-out/hand-out.ts';
import type { Spending } from './spending.ts';
import type { Vault } from './types.ts';

/** The parts of a vault that only other classes of the library use. */
export interface VaultInternals {
  /** @throws {GrantryError} `invalid_request` after the vault was closed */
  readonly open: () => VaultContext;
  readonly handOut: HandOut;
  readonly handOuts: HandOuts;
  readonly forget: (key: CheckedKey) => void;
  /** Prepares for closing: no refresh starts any more, sent requests are finished, and other leases are released. */
  readonly windDown: () => void;
  /** Requests whose answers this process must not miss. */
  readonly spending: Spending;
  /** Credentials that a provider refused a moment ago, by grant, generation and candidate client. */
  readonly refusedClients: LRUCache<string, { error: GrantryError; untilMs: number }>;
}

const refusedClientsMax = 10_000;

const internals = new WeakMap<Vault, VaultInternals>();

/** Registers the internals of a new vault. */
export function registerInternals(vault: Vault, parts: Omit<VaultInternals, 'refusedClients'>): void {
  let refused: VaultInternals['refusedClients'] | undefined;
  internals.set(vault, {
    ...parts,
    // Created on demand: the cache allocates all of its memory at once, and most programs never need it.
    get refusedClients() {
      refused ??= new LRUCache({ max: refusedClientsMax });
      return refused;
    },
  });
}

/** @throws {GrantryError} `invalid_request` for anything that `openVault` did not return */
export function internalsOf(vault: Vault): VaultInternals {
  const found = internals.get(vault);
  if (found !== undefined) return found;
  throw invalidRequest('Expected a vault from openVault.');
}
