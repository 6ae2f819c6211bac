import { isGrantryError } from '../../base/errors.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';

/** Counts how one round of a refresh ended, inside a span of its own. */
export function observeRound<Outcome extends string>(
  context: VaultContext,
  row: Pick<GrantRow, 'client_id' | 'provider'>,
  round: () => Promise<Outcome>,
): Promise<Outcome> {
  const { provider, client_id: tenant } = row;
  return context.tracer.span('grantry.refresh', { 'grantry.provider': provider }, async (span) => {
    let outcome = 'internal';
    try {
      const ended = await round();
      outcome = ended;
      return ended;
    } catch (error) {
      if (isGrantryError(error)) outcome = error.code;
      span.set({ 'error.type': outcome });
      throw error;
    } finally {
      span.set({ 'grantry.outcome': outcome });
      context.meter.refreshEnded({ tenant, provider, outcome });
    }
  });
}

/** Measures one request to a token endpoint, inside a span of its own. */
export function observeRequest(
  context: VaultContext,
  target: { provider: string; dc: string | null },
  request: () => Promise<RawAnswer>,
): Promise<RawAnswer> {
  const { provider, dc } = target;
  const facts = { 'grantry.provider': provider, ...(dc === null ? {} : { 'grantry.dc': dc }) };
  return context.tracer.span('grantry.provider_request', facts, async (span) => {
    const startedAt = context.world.monotonic();
    let outcome = 'lost';
    try {
      const answer = await request();
      outcome = `answered_${Math.floor(answer.status / 100)}xx`;
      span.set({ 'http.response.status_code': answer.status });
      return answer;
    } catch (error) {
      if (error instanceof NotSentError) outcome = 'not_sent';
      span.set({ 'error.type': outcome });
      throw error;
    } finally {
      context.meter.providerAsked({ provider, dc: dc ?? '', outcome }, context.world.monotonic() - startedAt);
    }
  });
}

/** Measures the wait for another process's refresh. */
export async function observeWait(
  context: VaultContext,
  { provider }: Pick<GrantRow, 'provider'>,
  wait: () => Promise<void>,
): Promise<void> {
  const startedAt = context.world.monotonic();
  try {
    await wait();
  } finally {
    context.meter.leaseAwaited({ provider }, context.world.monotonic() - startedAt);
  }
}
