import type { Logger } from '../base/log.ts';
import type { World } from '../base/world.ts';
import type { VaultContext } from '../vault/context.ts';
import { internalsOf } from '../vault/internals.ts';
import type { Vault } from '../vault/types.ts';
import type { Access } from './access.ts';
import type { ServerLimits } from './limits/server-limits.ts';
import type { Strangers } from './limits/strangers.ts';
import type { Traffic } from './limits/traffic.ts';
import type { Metrics } from './telemetry/metrics.ts';

/** Everything that the routes of one server share. */
export interface ServerContext {
  readonly world: World;
  readonly logger: Logger;
  readonly access: Access;
  readonly metrics: Metrics;
  /** Without a slash at its end. */
  readonly publicUrl: string;
  /** The open vault. @throws {GrantryError} `vault_sealed` or `storage_unavailable` while it cannot be opened */
  readonly vault: () => Vault;
  readonly limits: ServerLimits;
  readonly traffic: Traffic;
  readonly strangers: Strangers;
}

/** The vault's own parts, for facts that its interface does not give, such as whether an item is new. */
export function vaultContext(context: ServerContext): VaultContext {
  return internalsOf(context.vault()).open();
}
