import { errorCodes, GrantryError, invalidRequest, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { parseJson } from '../../base/network/bounded-json.ts';
import { type Line, linesOf, type ReadLimit } from '../../base/network/lines.ts';
import { hideTokens } from '../../base/scrub.ts';
import { type ImportResult, importLineSchema } from '../../schemas/import-line.ts';
import { parse } from '../../schemas/parse.ts';
import { checkGrantMetadata, handIn } from '../grant/store-tokens.ts';
import { internalsOf } from '../internals.ts';
import { learnLater } from '../organization/learn.ts';
import type { Vault } from '../types.ts';
import { appOfLine, type LineApp } from './line-app.ts';

/** Returns the vault for each line: a server may reopen its vault during an import. */
type VaultSource = () => Vault;

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
    const parsed = parse(importLineSchema, parseJson(line.text), 'line');
    const { tenant, provider, account = 'default' } = parsed;
    const key = { tenant, provider, account };
    try {
      return { line: line.number, ...key, ...(await storeLine(vault(), key, parsed)) };
    } catch (error) {
      const named = { tenant: hideTokens(tenant), provider: hideTokens(provider), account: hideTokens(account) };
      return { ...failure(line.number, error), ...named };
    }
  } catch (error) {
    return failure(line.number, error);
  }
}

type ParsedLine = ReturnType<typeof importLineSchema.parse>;

async function storeLine(vault: Vault, key: CheckedKey, line: ParsedLine): Promise<Omit<ImportResult, 'line'>> {
  const { open, forget } = internalsOf(vault);
  const context = open();
  const { tenant: _tenant, provider: _provider, account: _account, clientId, clientSecret, dryRun, ...rest } = line;
  const { appScopes, ...tokens } = rest;
  const replace = tokens.replace === true;
  const bringsClient = clientId !== undefined || clientSecret !== undefined;
  const definition = await context.providers.require(key.provider);
  const { dc } = checkGrantMetadata(definition, tokens.metadata);
  const client = {
    app: tokens.app,
    clientId,
    clientSecret,
    dc: typeof dc === 'string' ? dc : null,
    scopes: appScopes ?? tokens.scopes ?? [],
    replace,
  };
  const store = (app: LineApp | null, isDry: boolean) => {
    const input = app === null ? tokens : { ...tokens, app: app.isMissing ? undefined : app.name };
    return handIn(context, key, input, { isImport: true, appLater: app?.isMissing === true, dryRun: isDry });
  };
  let app = bringsClient ? await appOfLine(context, key, { ...client, dryRun: true }) : null;
  if (app !== null && dryRun !== true && (app.isMissing || app.replaced || app.fills !== undefined)) {
    // A line whose tokens are refused changes no app.
    await store(app, true);
    app = await appOfLine(context, key, { ...client, dryRun: false });
  }
  const isForeign = app?.differs.includes('client_id') === true;
  const stored = await store(app, dryRun === true || isForeign);
  const stores = stored.result === 'imported' || stored.result === 'replaced';
  if (isForeign && stores && app !== null) {
    throw invalidRequest(`The client id is not that of the app ${app.name}.`, {
      action: 'Name another app: only the client that a refresh token was issued to can use it.',
    });
  }
  if (dryRun !== true) forget(key);
  if (dryRun !== true && stores && stored.grant !== null && tokens.accessToken !== undefined) {
    learnLater(context, stored.grant, () => forget(key));
  }
  const sharedWith = stored.sharedWith.map((other) => ({ ...other, account: other.account ?? 'default' }));
  return {
    status: stored.result === 'imported' ? 201 : 200,
    result: stored.result === 'unchanged' && app?.replaced === true ? 'replaced' : stored.result,
    differs: [...(app?.differs ?? []), ...stored.differs],
    ...(sharedWith.length === 0 ? {} : { sharedWith }),
    ...(app?.fills === undefined ? {} : { appScopes: app.fills }),
  };
}

function failure(line: number, thrown: unknown): ImportResult {
  const error = isGrantryError(thrown) ? thrown : new GrantryError('internal', 'The line could not be stored.');
  const { code, message, action } = error;
  return { line, status: errorCodes[code].status, code, detail: message, action };
}
