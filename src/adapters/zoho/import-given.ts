import { createHash } from 'node:crypto';
import { errorCodes, GrantryError, type GrantryErrorCode, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import type { ImportResult, Vault } from '../../vault/types.ts';

/** Credentials that can become a grant. */
export interface CompleteCredentials {
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly refreshToken: Secret;
  readonly dc: string;
  readonly orgId: string | undefined;
}

/** Imports of this process, so that a manager per request costs nothing. */
const imports = new WeakMap<Vault, Map<string, Promise<void>>>();

/**
 * Makes a grant of credentials, by the rules of `grantry import` and once per process and vault. A grant that was connected,
 * refreshed by another token, condemned or disconnected since stays as it is, and a warning says so.
 *
 * @throws {GrantryError} every error of a line of an import
 */
export function importGiven(vault: Vault, key: CheckedKey, credentials: CompleteCredentials): Promise<void> {
  let known = imports.get(vault);
  if (known === undefined) imports.set(vault, (known = new Map()));
  const line = lineOf(key, credentials);
  const id = createHash('sha256').update(line).digest('base64');
  const running = known.get(id) ?? importLine(vault, key, line);
  known.set(id, running);
  // A failure may pass: the next call tries again.
  running.catch(() => known.delete(id));
  return running;
}

function lineOf(key: CheckedKey, { clientId, clientSecret, refreshToken, dc, orgId }: CompleteCredentials): string {
  return JSON.stringify({
    ...key,
    client_id: clientId,
    client_secret: clientSecret.reveal(), // to the vault, which seals it
    refresh_token: refreshToken.reveal(), // to the vault, which seals it
    metadata: { dc, ...(orgId === undefined ? {} : { org_id: orgId }) },
  });
}

async function importLine(vault: Vault, key: CheckedKey, line: string): Promise<void> {
  const name = `${key.tenant} at ${key.provider}`;
  try {
    for await (const result of vault.importLines(line)) {
      if (result.code !== undefined) throw errorOf(result);
      const left = whatWasLeft(result);
      if (left !== null) warn(`The credentials of ${name} in this program: ${left}`);
    }
  } catch (error) {
    if (!isGrantryError(error, 'forbidden')) throw error;
    warn(
      `The API key may not import the credentials of ${name} in this program. The stored grant is used, if there is one.`,
    );
  }
}

/** Says what an import left as it was or replaced; null if the grant is what the credentials say. */
function whatWasLeft({ result, differs = [], sharedWith = [] }: ImportResult): string | null {
  const said = result === undefined ? undefined : resultWords[result];
  const stays = differs.length === 0 ? undefined : `the stored ${differs.join(', ')} differs and stays.`;
  const others = sharedWith.map(({ tenant, provider }) => `${tenant} at ${provider}`).join(', ');
  const shared =
    others === '' ? undefined : `${others} holds the same refresh token; the option tenant makes them one grant.`;
  const all = [said, stays, shared].filter((text) => text !== undefined);
  return all.length === 0 ? null : all.join(' ');
}

const resultWords: Partial<Readonly<Record<NonNullable<ImportResult['result']>, string>>> = {
  replaced: 'the refresh token is new, and replaced the stored one.',
  kept: 'the grant was connected again since, so the refresh token is an old one. The stored one is used.',
  condemned: 'the provider refused the stored grant, and the refresh token is none that could cure it.',
  disconnected: 'the grant was disconnected on purpose, and stays so.',
};

function errorOf({ code, detail = '', action }: ImportResult): GrantryError {
  const codes = Object.keys(errorCodes).filter((known): known is GrantryErrorCode => known in errorCodes);
  return new GrantryError(codes.find((known) => known === code) ?? 'internal', detail, { action });
}

function warn(text: string): void {
  const detail =
    'grantry import FILE --replace, or grantry connect, changes a stored grant. Then remove the credentials.';
  process.emitWarning(text, { type: 'GrantryNotice', code: 'GRANTRY_ZOHO_IMPORT', detail });
}
