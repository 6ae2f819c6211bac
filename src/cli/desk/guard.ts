import type { CurrentTenant } from '../current-tenant.ts';
import { usageError } from '../terminal/errors.ts';
import { directoryTenant } from './tenant-file.ts';

/** The option that lets a command act on another tenant than that of its directory. */
export const anywayOption = ['--anyway', "act on the named tenant, also in another tenant's directory"] as const;

/**
 * Refuses to act on one client in the directory of another: a script, a shell history or a variable that is left over from
 * the client before names the wrong one.
 *
 * @param meant The tenant of the command, and what names it
 * @param anyway True if the person has said that this is meant; the file is then not even read
 * @throws {GrantryError} `invalid_request` that says which is which
 */
export function refuseOtherTenant(meant: CurrentTenant, anyway: boolean | undefined): void {
  if (anyway === true || meant.from === 'file') return;
  const here = directoryTenant(process.cwd());
  if (here === null || here.tenant === meant.tenant) return;
  throw usageError(
    `This directory is for ${here.tenant} (${here.file}), and ${sourceText(meant)} ${meant.tenant}. Nothing was done.`,
    `Name ${here.tenant}, change to the directory of ${meant.tenant}, or add --anyway if this is meant.`,
  );
}

const sources: Readonly<Record<CurrentTenant['from'], string>> = {
  argument: 'the command names',
  setting: 'GRANTRY_TENANT or --tenant names',
  file: 'the .grantry file names',
  use: 'grantry use named',
};

/** Says where a tenant comes from, as the beginning of a sentence. */
export function sourceText({ from }: Pick<CurrentTenant, 'from'>): string {
  return sources[from];
}
