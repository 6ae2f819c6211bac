import type { ServerOptions } from '../../src/server/index.ts';

/** Limits for servers in tests: a loaded machine delays the event loop, and the server must not refuse requests for it. */
const patientLimits: ServerOptions['limits'] = { overloadedMs: 600_000, sheddingMs: 600_000 };

/** Merges server options, so that limits of a test win over the patient ones. */
export function patient(...options: readonly Partial<ServerOptions>[]): Partial<ServerOptions> {
  const limits = Object.assign({}, patientLimits, ...options.map((each) => each.limits));
  return { ...Object.assign({}, ...options), limits };
}
