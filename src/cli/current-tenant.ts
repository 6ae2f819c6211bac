import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkName } from '../base/ids.ts';
import type { Context } from './context.ts';
import type { Settings } from './settings.ts';
import { usageError } from './terminal/errors.ts';

/** The sign for the current tenant on the command line. */
export const currentTenantSign = '.';

/**
 * Returns the tenant of an argument: its name, or the current tenant for `.`.
 *
 * With `changes`, a note on stderr names the tenant behind `.`, so that no command changes the wrong one unseen.
 *
 * @throws {GrantryError} `invalid_request` when the name is not valid, or there is no current tenant
 */
export async function resolveTenant(
  context: Context,
  given: string,
  options: { changes?: boolean } = {},
): Promise<string> {
  if (given !== currentTenantSign) return checkName('tenant', given);
  const tenant = await currentTenant(context.settings);
  if (tenant === null) {
    throw usageError(
      'There is no current tenant.',
      'Run grantry use TENANT first, or write the name of the tenant instead of the dot.',
    );
  }
  if (options.changes === true) context.output.note(`Tenant: ${tenant} (the current one)`);
  return tenant;
}

/** The current tenant: from `--tenant` or `GRANTRY_TENANT`, else from `grantry use`; `null` if there is none. */
export async function currentTenant(settings: Settings): Promise<string | null> {
  if (settings.tenant !== undefined) return checkName('tenant', settings.tenant);
  try {
    return checkName('tenant', readFileSync(fileOf(settings), 'utf8').trim());
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Stores the current tenant in the home, readable only by its owner. */
export async function keepCurrentTenant(settings: Settings, tenant: string): Promise<void> {
  mkdirSync(settings.home, { recursive: true, mode: 0o700 });
  const draft = `${fileOf(settings)}.${process.pid}`;
  writeFileSync(draft, `${tenant}\n`, { mode: 0o600 });
  renameSync(draft, fileOf(settings));
}

function fileOf(settings: Settings): string {
  return join(settings.home, 'current-tenant');
}
