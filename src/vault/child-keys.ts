import { GrantryError, invalidRequest } from '../base/errors.ts';
import { checkName, newRandomText } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import {
  type ApiKeyRow,
  insertApiKey,
  listChildKeys,
  lockIntactApiKey,
  purgeChildKeys,
} from '../storage/statements/api-keys.ts';
import { hashApiKey, nameTaken, newKeyText, newRow, readBack } from './api-keys.ts';
import { changing } from './changing.ts';
import { checkObject } from './checks.ts';
import type { VaultContext } from './context.ts';
import { assertWithin, checkRights, describeApiKey, isListed, type KeyRights } from './key/rights.ts';
import type { ApiKey, ApiKeyRole, ChildKeyInput } from './types.ts';

/**
 * Makes a child of a key: narrower in every list, for an hour at most. It ends with its parent, and when a change of the
 * parent leaves it wider. A child has no children.
 *
 * @throws {GrantryError} `forbidden` for a child of a child and for anything wider, `invalid_request`, `rate_limited` for too
 * many children, `unauthorized` for a parent that has just ended
 */
export async function createChildKey(
  context: VaultContext,
  parentId: string,
  input: ChildKeyInput,
): Promise<{ apiKey: ApiKey; key: Secret }> {
  checkObject('key', input);
  const key = newKeyText(context);
  await changing(context, async ({ tx, recordOther }) => {
    // The lock makes children wait for a change of their parent, and the other way round.
    const parent = await lockIntactApiKey(tx, parentId);
    if (parent === undefined) throw new GrantryError('unauthorized', 'The API key is not valid, or was revoked.');
    if (parent.parent !== null) throw new GrantryError('forbidden', 'A child key may not make keys.');
    const now = context.world.now();
    await purgeChildKeys(tx, now, parent.id);
    assertRoom(await listChildKeys(tx, parent.id), now);
    const rights = childRights(describeApiKey(parent), input, now);
    const name = input.name ?? newRandomText(context.world).slice(0, 12);
    const row = newRow(context, childName(parent.name, name), rights, parent.id);
    if (!(await insertApiKey(tx, { ...row, key_hash: hashApiKey(key) }))) throw nameTaken(row.name);
    recordOther({ type: 'key.created', details: { key: row.id, name: row.name, role: row.role, parent: parent.id } });
  });
  return { apiKey: await readBack(context, key), key: new Secret(key) };
}

/** Fills in from the parent. Lists that the child's role does not have are left out. */
function childRights(parent: ApiKey, input: ChildKeyInput, nowMs: number): KeyRights {
  const role: ApiKeyRole = input.role ?? parent.role;
  const callsApis = role === 'reader' || role === 'caller';
  const end = Math.min(
    nowMs + limits.apiKeyChildMsMax,
    input.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
    parent.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
  );
  const tenants = isListed(parent.role) ? parent.tenants : '*';
  const rights = checkRights(
    {
      role,
      tenants: input.tenants ?? (isListed(role) ? tenants : null),
      providers: input.providers ?? (isListed(role) ? parent.providers : null),
      methods: input.methods ?? (callsApis ? parent.methods : null),
      paths: input.paths ?? (callsApis ? parent.paths : null),
      origins: input.origins ?? (role === 'caller' ? parent.origins : null),
      expiresAt: new Date(end),
    },
    nowMs,
  );
  assertWithin(rights, parent);
  return rights;
}

function assertRoom(children: readonly ApiKeyRow[], nowMs: number): void {
  if (children.length < limits.apiKeyChildrenMax) return;
  const firstEnd = Math.min(...children.map(({ expires_at }) => expires_at ?? Number.POSITIVE_INFINITY));
  throw new GrantryError('rate_limited', `This API key has ${limits.apiKeyChildrenMax} living children.`, {
    action: 'Use one of them, or wait until one has expired.',
    retryAfterMs: Math.max(1_000, firstEnd - nowMs),
  });
}

/** A name of the parent's own, so that the names of other keys stay unknown to it. */
function childName(parent: string, name: string): string {
  const full = `${parent}:${name}`;
  if (full.length <= limits.nameCharsMax) return checkName('key', full);
  throw invalidRequest(`The name of a child with its parent's is longer than ${limits.nameCharsMax} characters.`, {
    action: 'Choose a shorter name for the child.',
  });
}
