import type { Command } from 'commander';
import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { checkName } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import type { Grant } from '../../vault/types.ts';
import { type Context, contextOf, databaseExists, openContextVault } from '../context.ts';
import { currentTenant, keepCurrentTenant } from '../current-tenant.ts';
import { knownGrants, noteGrants } from '../desk/known-tenants.ts';
import { keepDirectoryTenant } from '../desk/tenant-file.ts';
import { epilogue } from '../options.ts';
import { sourceText } from '../tenant-guard.ts';
import { usageError } from '../terminal/errors.ts';

interface UseOptions {
  here?: boolean;
  new?: boolean;
}

export function define(command: Command): void {
  command
    .description(
      'Sets the current tenant, for which a dot stands in every command, and shows its grants. Without a tenant, shows ' +
        'the current one. A .grantry file in the directory or above it wins over this setting, which is kept in the ' +
        'home; GRANTRY_TENANT wins over both.',
    )
    .argument('[tenant]', 'the tenant: one that has a grant or an app')
    .option('--here', "write the tenant's name into the file .grantry of this directory")
    .option('--new', 'take a tenant that the vault does not know yet')
    .addHelpText(
      'after',
      epilogue(
        'Examples:\n  grantry use acme && grantry token . zoho_crm\n  cd clients/acme && grantry use acme --here',
      ),
    )
    .action(async (tenant: string | undefined, options: UseOptions) => use(contextOf(command), tenant, options));
}

async function use(context: Context, given: string | undefined, options: UseOptions): Promise<void> {
  if (given === undefined) {
    const unused = options.here === true ? '--here' : options.new === true ? '--new' : null;
    if (unused !== null) throw usageError(`${unused} needs a tenant.`, `Name it: grantry use TENANT ${unused}`);
    return show(context, null);
  }
  const tenant = checkName('tenant', given);
  const grants = options.new === true ? null : await grantsOf(context, tenant);
  if (options.here === true) context.output.note(`Wrote ${keepDirectoryTenant(process.cwd(), tenant)}.`);
  else await keepCurrentTenant(context.settings, tenant);
  const current = currentTenant(context.settings);
  if (current !== null && current.tenant !== tenant) {
    const place = current.file === undefined ? '' : ` (${current.file})`;
    context.output.note(
      `The current tenant stays ${current.tenant}: ${sourceText(current)} it${place}, and wins over ${options.here === true ? 'the file' : 'grantry use'}.`,
    );
    return show(context, null);
  }
  return show(context, grants);
}

/** Shows the current tenant. Its grants are an addition: the name is shown also where they cannot be read. */
async function show(context: Context, read: readonly Grant[] | null): Promise<void> {
  const { output, settings } = context;
  const current = currentTenant(settings);
  if (current === null) {
    throw new GrantryError('not_found', 'There is no current tenant.', { action: 'Set one: grantry use TENANT' });
  }
  const grants = read ?? (await grantsOrNote(context, current.tenant));
  if (output.json) {
    const { tenant, from, file = null } = current;
    return output.printJson({ tenant, from, file, grants: grants.map((each) => toJson(each)) });
  }
  output.print(current.tenant);
  if (current.file !== undefined) output.note(`From ${current.file}.`);
  if (grants.length > 0) noteGrants(output, grants);
}

async function grantsOrNote(context: Context, tenant: string): Promise<readonly Grant[]> {
  if (context.settings.server === undefined && !databaseExists(context)) return [];
  try {
    return await grantsOf(context, tenant);
  } catch (error) {
    if (!isGrantryError(error)) throw error;
    context.output.note(error.code === 'not_found' ? `${tenant} has no grant yet.` : error.message);
    return [];
  }
}

async function grantsOf(context: Context, tenant: string): Promise<readonly Grant[]> {
  await using vault = await openContextVault(context, {}, { light: true });
  return await knownGrants(vault, tenant);
}
