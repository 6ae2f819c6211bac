import type { Context } from './context.ts';
import { type CurrentTenant, meantTenant } from './current-tenant.ts';
import { directoryTenant } from './desk/tenant-file.ts';
import { usageError } from './terminal/errors.ts';

/** The option that lets a command act on another tenant than that of its directory. */
export const anywayOption = ['--anyway', "act on the named tenant, also in another tenant's directory"] as const;

/**
 * Returns the tenant whose grant a command uses or changes: the named one, or the current one for `.`.
 *
 * It refuses to act on one client in the directory of another: a script, a shell history or a variable that is left over from
 * the client before names the wrong one.
 *
 * @param options.anyway True if the person has said that this is meant; the file is then not even read for a named tenant
 * @param options.changes True for a change: a note on stderr then names the tenant behind `.`
 * @throws {GrantryError} `invalid_request` that says which is which, or that there is no such name
 */
export function actedTenant(
  context: Context,
  given: string,
  { anyway, changes }: { anyway: boolean | undefined; changes: boolean },
): string {
  const meant = meantTenant(context, given, { changes });
  if (anyway === true || meant.from === 'file') return meant.tenant;
  const here = directoryTenant(process.cwd());
  if (here === null || here.tenant === meant.tenant) return meant.tenant;
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
