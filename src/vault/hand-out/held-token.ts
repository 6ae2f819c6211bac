import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import type { GrantPlace, placeOf } from '../grant/grants.ts';
import { earlyMs, requiredMs, type ValidityRules } from '../grant/validity.ts';
import { interned, internedList, internedRules } from './interned-text.ts';
import type { HeldToken } from './token-cache.ts';

/** Rules that compare a token's remaining life with the caller's demand, and with nothing else. */
export const plainRules: ValidityRules = { earlyRefreshMs: 0, justRefreshedMs: 0 };

/**
 * Makes the token of a row that was opened.
 *
 * @param rules Undefined in a one-shot program. It hands out a stored token without reading the
 * provider's definition, unless the metadata names a data centre without its API host, or only the host.
 */
export async function heldTokenOf(
  context: VaultContext,
  row: GrantRow,
  { secret, expiresAtMs }: { secret: Secret; expiresAtMs: number },
  rules: ValidityRules | undefined,
): Promise<HeldToken> {
  const metadata = metadataOf(row);
  const named = { dc: textOf(metadata['dc']), apiDomain: textOf(metadata['api_domain']) };
  const isPinned = metadata['environment'] !== undefined;
  const isPlaced = !isPinned && rules === undefined && (named.dc === null) === (named.apiDomain === null);
  const { dc, apiDomain } = isPlaced ? named : await foundPlace(context, row, metadata);
  const lifetimeMs = Math.max(1, expiresAtMs - (row.obtained_at ?? expiresAtMs - 3_600_000));
  const counted = rules ?? plainRules;
  const early = Math.max(earlyMs(lifetimeMs, counted), requiredMs(limits.minValidityMsDefault, lifetimeMs, counted));
  return {
    accessToken: secret.reveal(),
    tokenType: interned(row.token_type ?? 'Bearer'),
    scopes: internedList(row.scopes),
    apiDomain: internedOrNone(apiDomain),
    dc: internedOrNone(dc),
    app: internedOrNone(row.app),
    metadata: row.metadata,
    rules: rules === undefined ? undefined : internedRules(rules),
    generation: row.generation,
    changedAtMs: row.changed_at,
    expiresAtMs,
    freshUntilMs: expiresAtMs - early,
    lifetimeMs,
    usedAtMs: context.world.now(),
    notedAtMs: row.used_at ?? 0,
    quietUntilMs: undefined,
    era: undefined,
    counted: undefined,
  };
}

/** Loaded when needed: most tokens of a one-shot program tell their place. */
async function foundPlace(...[context, row, metadata]: Parameters<typeof placeOf>): Promise<GrantPlace> {
  const grants = await import('../grant/grants.ts');
  return grants.placeOf(context, row, metadata);
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function internedOrNone(text: string | null): string | undefined {
  return text === null ? undefined : interned(text);
}
