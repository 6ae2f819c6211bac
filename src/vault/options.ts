import type { Logger } from '../base/log.ts';
import type { Meter } from '../base/meter.ts';
import type { Tracer } from '../base/tracer.ts';
import type { World } from '../base/world.ts';
import type { ExtendingDefinitionInput, ProviderDefinitionInput } from '../providers/definition.ts';
import type { VaultEvent } from './types.ts';

/**
 * The options of {@link openVault}. Each has a default; a member that is not listed here is `invalid_request`.
 *
 * Options win over the environment variables named here, and variables win over defaults.
 */
export interface VaultOptions {
  /** `false` refuses to make a new vault, with `not_found`. `GRANTRY_CREATE` (`on`, `off`), else `true`. */
  create?: boolean | undefined;
  /** `sqlite:PATH` or `postgres://USER@HOST/NAME`. `GRANTRY_DATABASE`, else `grantry.db` in the home. */
  database?: string | undefined;
  /** `file:PATH`, `env:NAME`, `fd:N` or `command:PROGRAM ARGS`. `GRANTRY_ROOT_KEY`, else `root.key` in the home. */
  rootKey?: string | undefined;
  /** The directory of the spool and of this installation's identity. `GRANTRY_HOME`, else `~/.grantry`. */
  home?: string | undefined;
  /**
   * The directory for answers of providers until they are committed. It must survive a restart. `GRANTRY_SPOOL`, else
   * `spool` in the home.
   */
  spool?: string | undefined;
  /** `true` takes over an `oauth_tokens` table that another program made. Without it such a table is refused. */
  takeOver?: boolean | undefined;
  /** Called during a take-over, after each batch of sealed rows. */
  onTakeOver?: ((progress: { readonly sealed: number; readonly total: number }) => void) | undefined;
  /** Provider definitions besides the built-in and the stored ones. */
  providers?: readonly (ProviderDefinitionInput | ExtendingDefinitionInput)[] | undefined;
  /** Gets what an operator should read. Without one, only a new vault is announced, as a process warning. */
  logger?: Logger | undefined;
  /** Counts refreshes, waits and provider calls. */
  meter?: Meter | undefined;
  /** Gets a span for each refresh and provider call. */
  tracer?: Tracer | undefined;
  /** Called after each committed state change, in this process only. An error that it throws is logged. */
  onEvent?: ((event: VaultEvent) => void) | undefined;
  /** Clock, random numbers, sleep and network, for tests. Without it, the real ones. */
  world?: World | undefined;
  /** `off` refuses a database whose schema is behind, for roles without DDL. `GRANTRY_MIGRATE`, else `auto`. */
  migrate?: 'auto' | 'off' | undefined;
  /** A name such as `production`, recorded at the first start. `GRANTRY_INSTALLATION`. */
  installation?: string | undefined;
  /** The reason why `http://` and loopback providers are allowed. Only for tests and local simulators. */
  unsafeAllowLoopbackProviders?: string | undefined;
  /** The longest time that a caller waits, in milliseconds (default 30,000). */
  callerWaitMs?: number | undefined;
  /** The time for which memory hands out tokens while the database is down, in milliseconds (default 300,000). */
  staleHandOutMs?: number | undefined;
  /**
   * Days for which the tokens of a grant that needs re-authorization are kept for {@link Vault.recover}: 1 to 3,650.
   * `GRANTRY_CONDEMNED_KEPT_DAYS`, else 30.
   */
  condemnedKeptDays?: number | undefined;
  /**
   * `false` refreshes only while a caller waits, never in the background; a token's `dc` is then the one in the grant's
   * metadata. For programs that end after one call.
   */
  backgroundRefresh?: boolean | undefined;
  /** `true` opens a database engine on which Grantry was never tried, with a warning. `GRANTRY_UNTRIED_ENGINE`. */
  untriedEngine?: boolean | undefined;
  /**
   * The HTTP proxy for everything that is sent to providers: `http://USER:PASSWORD@HOST:PORT`, or `env` for `HTTPS_PROXY` and
   * `NO_PROXY`. `GRANTRY_EGRESS_PROXY`, else none. With a {@link VaultOptions.world} the world decides.
   */
  egressProxy?: string | undefined;
  /** Hosts that are reached without the proxy, separated by commas; `*` for all. `GRANTRY_NO_PROXY`. */
  noProxy?: string | undefined;
  /**
   * `strict`: no token leaves the vault before the audit log has it. `batched`: the log has it within a second.
   * `GRANTRY_AUDIT_HAND_OUTS`, else `batched`.
   */
  auditHandOuts?: 'batched' | 'strict' | undefined;
  /** The most connections to PostgreSQL. `GRANTRY_POOL_MAX`, else 10. */
  poolMax?: number | undefined;
}
