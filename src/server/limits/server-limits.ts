/** The limits of a server. The defaults are far above normal use. Times are in milliseconds. */
export interface ServerLimits {
  /** Requests per second and tenant, except reads of tokens: the sustained rate, and the burst after a pause. */
  readonly tenantRequestsPerSecond: number;
  readonly tenantBurst: number;
  /** Concurrent requests of one tenant, except reads of tokens. */
  readonly tenantCallsAtOnce: number;
  /** Concurrent proxied calls to one provider: a provider that hangs holds no more than these. */
  readonly providerCallsAtOnce: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly requestsPerConnection: number;
  /** The time in which a client must send its headers. */
  readonly headersMs: number;
  /** The time limits of a proxied call: until its answer begins, between two chunks of a body, and in all. */
  readonly proxyFirstByteMs: number;
  readonly proxyIdleMs: number;
  readonly proxyTotalMs: number;
  /** The delays of the event loop from which tenants above their fair share are refused, and then all tenants. */
  readonly overloadedMs: number;
  readonly sheddingMs: number;
}

export const serverLimits: ServerLimits = {
  tenantRequestsPerSecond: 500,
  tenantBurst: 2_000,
  tenantCallsAtOnce: 256,
  providerCallsAtOnce: 1_024,
  connections: 16_384,
  connectionsPerAddress: 8_192,
  requestsPerConnection: 1_000_000,
  headersMs: 10_000,
  proxyFirstByteMs: 30_000,
  proxyIdleMs: 60_000,
  proxyTotalMs: 3_600_000,
  overloadedMs: 250,
  sheddingMs: 1_500,
};
