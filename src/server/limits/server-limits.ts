/** What a server lets through; every member has a default that an honest caller hardly meets. Times in milliseconds. */
export interface ServerLimits {
  /** Requests per second and tenant, except reads of tokens: over time, and at once after a pause. */
  readonly tenantRequestsPerSecond: number;
  readonly tenantBurst: number;
  /** Requests of one tenant that are under way, except reads of tokens. */
  readonly tenantCallsAtOnce: number;
  /** Proxied calls to one provider that are under way: a provider that hangs fills no more than that. */
  readonly providerCallsAtOnce: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly requestsPerConnection: number;
  /** Until a client has sent its headers. */
  readonly headersMs: number;
  /** A proxied call: until its answer begins, between two pieces of a body, and in all. */
  readonly proxyFirstByteMs: number;
  readonly proxyIdleMs: number;
  readonly proxyTotalMs: number;
  /** How far the event loop may be behind before tenants above their fair share are told to wait, and then everybody. */
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
