import { errorCodes, GrantryError, isGrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { parseJson } from '../../base/network/bounded-json.ts';
import { type Line, linesOf, type ReadLimit } from '../../base/network/lines.ts';
import { type ImportResult, importLineSchema } from '../../schemas/import-line.ts';
import { parse } from '../../schemas/parse.ts';
import type { Grant, Vault } from '../types.ts';

/** Returns the vault for each line: a server may reopen its vault during an import. */
type VaultSource = () => Pick<Vault, 'grants' | 'storeTokens'>;

/**
 * Stores the grants of an import. It reads only as many lines as it stores at once, so a slow database slows the sender.
 * See `Vault.importLines`.
 */
export async function* importLines(
  vault: VaultSource,
  body: string | ReadableStream<Uint8Array> | null,
  limit?: ReadLimit,
): AsyncGenerator<ImportResult> {
  const stream = typeof body === 'string' ? new Blob([body]).stream() : body;
  const running = new Set<Promise<ImportResult>>();
  const next = async (): Promise<ImportResult> => {
    const tagged = [...running].map(async (promise) => ({ promise, result: await promise }));
    const { promise, result } = await Promise.race(tagged);
    running.delete(promise);
    return result;
  };
  try {
    for await (const line of linesOf(stream, limits.importLineBytesMax, limit)) {
      running.add(importLine(vault, line));
      if (running.size >= limits.importConcurrency) yield await next();
    }
  } catch (error) {
    while (running.size > 0) yield await next();
    yield failure(0, error);
  }
  while (running.size > 0) yield await next();
}

async function importLine(vault: VaultSource, line: Line): Promise<ImportResult> {
  try {
    if ('tooLong' in line) {
      throw new GrantryError('payload_too_large', `The line is longer than ${limits.importLineBytesMax} bytes.`);
    }
    const { tenant, provider, account = 'default', ...tokens } = parse(importLineSchema, parseJson(line.text), 'line');
    const key = { tenant, provider, account };
    try {
      const before = await vault().grants.get(key);
      const { sharedWith } = await vault().storeTokens(key, tokens);
      const shared = sharedWith.map((other) => ({ ...other, account: other.account ?? 'default' }));
      const status = isNew(before) ? 201 : 200;
      return { line: line.number, ...key, status, ...(shared.length === 0 ? {} : { sharedWith: shared }) };
    } catch (error) {
      return { ...failure(line.number, error), ...key };
    }
  } catch (error) {
    return failure(line.number, error);
  }
}

/** A tombstone counts as absent: tokens stored over it make a new grant. */
export function isNew(before: Grant | null): boolean {
  return before === null || before.state === 'disconnected';
}

function failure(line: number, thrown: unknown): ImportResult {
  const error = isGrantryError(thrown) ? thrown : new GrantryError('internal', 'The line could not be stored.');
  const { code, message, action } = error;
  return { line, status: errorCodes[code].status, code, detail: message, action };
}
