import type { ServerResponse } from 'node:http';
import { codeOf } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Refusal, Refusals } from '../vault/audit/refusals.ts';
import { addressIn } from './acting.ts';
import { type ServerContext, vaultContext } from './context.ts';
import type { RequestNote } from './telemetry/tracing.ts';

/** A request that was refused, as the audit log tells it. */
export function refusalOf({ method, route, key, tenant, refused }: RequestNote, response: ServerResponse): Refusal {
  return { key, address: addressIn(response), code: refused ?? 'unauthorized', method, route, tenant };
}

/** Writes refusals into the audit log, again and again until the server stops. */
export async function keepTelling(context: ServerContext, refusals: Refusals, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await context.world.sleep(limits.apiKeyWatchMs, signal, { background: true });
    } catch {
      return;
    }
    await tellRefusals(context, refusals);
  }
}

/** Writes the refusals so far. Those that cannot be written are in the metrics only. */
export async function tellRefusals(context: ServerContext, refusals: Refusals): Promise<void> {
  if (refusals.isEmpty) return;
  try {
    await refusals.write(vaultContext(context));
  } catch (error) {
    context.logger.warn('refused requests could not be written to the audit log', { code: codeOf(error) });
  }
}
