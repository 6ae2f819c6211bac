import { LRUCache } from 'lru-cache';
import { GrantryError } from '../base/errors.ts';
import type { CheckedKey } from '../base/ids.ts';
import type { VaultContext } from './context.ts';
import type { HandOut } from './hand-out/hand-out.ts';
import type { Vault } from './types.ts';

/** The parts of a vault that only other classes of the library use. */
export interface VaultInternals {
  /** @throws {GrantryError} `invalid_request` when the vault was closed */
  readonly open: () => VaultContext;
  readonly handOut: HandOut;
  readonly forget: (key: CheckedKey) => void;
  /** Begins no refresh any more, ahead of closing: what has been sent is finished, all else gives its lease back. */
  readonly windDown: () => void;
  /** Credentials that a provider refused a moment ago, by trial, grant and generation. */
  readonly refusedClients: LRUCache<string, { error: GrantryError; untilMs: number }>;
}

const refusedClientsMax = 10_000;

const internals = new WeakMap<Vault, VaultInternals>();

/** Called by an opening vault, once. */
export function registerInternals(vault: Vault, parts: Omit<VaultInternals, 'refusedClients'>): void {
  let refused: VaultInternals['refusedClients'] | undefined;
  internals.set(vault, {
    ...parts,
    // Room for all of them is taken at once, and most programs never need any.
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
  throw new GrantryError('invalid_request', 'Expected a vault from openVault.');
}
