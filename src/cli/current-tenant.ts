import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkName } from '../base/ids.ts';
import type { Context } from './context.ts';
import { directoryTenant } from './desk/tenant-file.ts';
import type { Settings } from './settings.ts';
import { usageError } from './terminal/errors.ts';

/** The sign for the current tenant on the command line. */
export const currentTenantSign = '.';

/** A tenant, and what names it. */
export interface CurrentTenant {
  readonly tenant: string;
  readonly from: 'argument' | 'setting' | 'file' | 'use';
  /** The `.grantry` file that names it. */
  readonly file?: string;
}

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
  return meantTenant(context, given, options).tenant;
}

/** As {@link resolveTenant}, and says what names the tenant. */
export function meantTenant(context: Context, given: string, options: { changes?: boolean } = {}): CurrentTenant {
  if (given !== currentTenantSign) return { tenant: checkName('tenant', given), from: 'argument' };
  const current = currentTenant(context.settings);
  if (current === null) {
    throw usageError(
      'There is no current tenant.',
      'Run grantry use TENANT first, or write the name of the tenant instead of the dot.',
    );
  }
  if (options.changes === true) {
    const where = current.file === undefined ? 'the current one' : `of ${current.file}`;
    context.output.note(`Tenant: ${current.tenant} (${where})`);
  }
  return current;
}

/**
 * The current tenant: from `--tenant` or `GRANTRY_TENANT`, else from the `.grantry` file of the directory, else from
 * `grantry use`; `null` if there is none.
 */
export function currentTenant(settings: Settings): CurrentTenant | null {
  if (settings.tenant !== undefined) return { tenant: checkName('tenant', settings.tenant), from: 'setting' };
  const here = directoryTenant(process.cwd());
  if (here !== null) return { ...here, from: 'file' };
  try {
    return { tenant: checkName('tenant', readFileSync(fileOf(settings), 'utf8').trim()), from: 'use' };
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
