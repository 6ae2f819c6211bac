import type { ServerLimits } from '../server/index.ts';
import { wholeNumber } from './numbers.ts';

/** What of a server's limits the environment may change, and its bounds. */
const variables: Readonly<Record<string, { name: keyof ServerLimits; max: number }>> = {
  GRANTRY_TENANT_RATE: { name: 'tenantRequestsPerSecond', max: 1_000_000 },
  GRANTRY_TENANT_BURST: { name: 'tenantBurst', max: 1_000_000 },
  GRANTRY_TENANT_CALLS: { name: 'tenantCallsAtOnce', max: 100_000 },
  GRANTRY_PROVIDER_CALLS: { name: 'providerCallsAtOnce', max: 100_000 },
  GRANTRY_CONNECTIONS: { name: 'connections', max: 1_000_000 },
  GRANTRY_CONNECTIONS_PER_ADDRESS: { name: 'connectionsPerAddress', max: 1_000_000 },
};

/** @throws {GrantryError} `invalid_request` for a variable that is not a number within its bounds */
export function limitsFrom(environment: NodeJS.ProcessEnv): Partial<ServerLimits> {
  const given = Object.entries(variables).flatMap(([variable, { name, max }]) => {
    const text = environment[variable]?.trim() ?? '';
    return text === '' ? [] : [[name, wholeNumber(variable, text, { min: 1, max })] as const];
  });
  return Object.fromEntries(given);
}
