import type { Command } from 'commander';
import { errorCodes, type GrantryError } from '../../base/errors.ts';
import { checkKey, checkName, checkProviderId, defaultAccount, type GrantKey } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { Grant, Vault } from '../../vault/types.ts';
import { type Context, contextOf, databaseExists, makeContextVault } from '../context.ts';
import { type ImportedClient, type NextStep, nextSteps, noteNextSteps } from '../desk/next-steps.ts';
import { type ClientFile, readClientFile } from '../import/client-file.ts';
import { listClientFiles } from '../import/client-files.ts';
import { definitionFor, type Imported, Importer, type ImportTarget } from '../import/importer.ts';
import { epilogue } from '../options.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { toGrantryError, usageError } from '../terminal/errors.ts';
import { counted } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';
import { errorItem } from '../terminal/report.ts';
import { printTable } from '../terminal/table.ts';

interface ImportOptions {
  tenant?: string;
  tenantFromName?: boolean;
  provider: string;
  app?: string;
  account?: string;
  replace?: boolean;
  dryRun?: boolean;
  anyway?: boolean;
}

/** The result of one file. */
interface Outcome extends Partial<ImportTarget>, Partial<Imported> {
  readonly file: string;
  readonly error?: GrantryError;
  /** The client and the steps that are left; absent for a bad file. */
  readonly client?: ImportedClient & { readonly next: readonly NextStep[] };
}

export function define(command: Command): void {
  command
    .description(
      'Imports one env file per tenant, with ZOHO_DC, ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET, ZOHO_REFRESH_TOKEN, ' +
        'ZOHO_ORG_ID and ZOHO_SCOPES. Running it twice changes nothing: what was connected, condemned, disconnected or changed since is ' +
        'reported and left alone. A bad file is reported and does not stop the others; the exit code is then 2. A ' +
        'FILE.ndjson holds one grant per line, with tenant, provider, refresh_token and app.',
    )
    .argument(
      '<files...>',
      'env files; or, with --tenant-from-name, directories of NAME.env or .env.NAME files; or one FILE.ndjson',
    )
    .option('--tenant <tenant>', 'the tenant of the file, or . for the current one')
    .option('--tenant-from-name', 'take the tenant from the file name: NAME.env or .env.NAME')
    .option('--provider <provider>', 'the provider of the tokens', 'zoho')
    .option('--app <name>', 'the app of the tokens (default: TENANT-PROVIDER, made only for that tenant)')
    .option('--account <name>', 'a label for the account, when the tenant has several at this provider')
    .option('--replace', 'also replace what was connected, disconnected or changed since, with what the files say')
    .option('--dry-run', 'only report what would happen')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`Examples:
  grantry import clients/acme.env --tenant acme
  grantry import clients --tenant-from-name --dry-run
  grantry import grants.ndjson`),
    )
    .action(async (files: string[], options: ImportOptions) => importFiles(contextOf(command), files, options));
}

async function importFiles(context: Context, paths: readonly string[], options: ImportOptions): Promise<void> {
  if (paths.some(isLineFile)) {
    const { importLineFile } = await import('../import/line-import.ts');
    return importLineFile(context, paths, options);
  }
  if ((options.tenant === undefined) === (options.tenantFromName !== true)) {
    throw usageError('The tenant of the files is missing.', 'Add either --tenant TENANT or --tenant-from-name.');
  }
  const { app, account, dryRun = false, replace = false, anyway } = options;
  const provider = checkProviderId(options.provider);
  if (app !== undefined) checkName('app', app);
  if (account !== undefined) checkName('account', account);
  const tenant =
    options.tenant === undefined ? undefined : actedTenant(context, options.tenant, { anyway, changes: !dryRun });
  const { files, passedOver } = await listClientFiles(paths, { directories: tenant === undefined });
  // A dry run must not make a database.
  await using vault = dryRun && !databaseExists(context) ? null : await makeContextVault(context);
  const definition = await definitionFor(vault, provider);
  const importer = new Importer({
    definition,
    app,
    account,
    replace,
    dryRun,
  });
  const outcomes: Outcome[] = [];
  await withProgress(
    context.world,
    () => `Importing files: ${outcomes.length} of ${files.length}`,
    async () => {
      for (const file of files) {
        outcomes.push(await importOne(context, importer, { file, tenant, account, vault, definition }));
      }
    },
  );
  report(context, outcomes, { dryRun, replace });
  for (const file of passedOver) {
    context.output.note(`${file} was passed over: its name gives no tenant. Import it with --tenant.`);
  }
  const isStored = outcomes.some(({ result }) => result === 'imported' || result === 'replaced');
  if (isStored && !dryRun)
    context.output.note('Nothing was sent to the provider yet. Check the grants: grantry health');
  const clients = outcomes.flatMap(({ client }) => (client === undefined ? [] : [client]));
  noteNextSteps(context.output, clients, { dryRun });
  process.exitCode = exitCodeOf(outcomes);
}

function isLineFile(path: string): boolean {
  return /\.(?:ndjson|jsonl)$/.test(path);
}

async function importOne(
  context: Context,
  importer: Importer,
  from: {
    file: string;
    tenant: string | undefined;
    account: string | undefined;
    vault: Vault | null;
    definition: ProviderDefinition;
  },
): Promise<Outcome> {
  const { file, tenant, account, vault, definition } = from;
  let target: Partial<ImportTarget> = {};
  try {
    const content = await readClientFile(file, tenant, { provider: definition.id, account });
    noteUnused(context, content);
    target = { tenant: content.tenant };
    const plan = importer.plan(content);
    target = plan;
    const { scopes, findings } = await importer.lint(content);
    for (const { level, message } of findings) if (level !== 'hint') context.output.note(`${content.file}: ${message}`);
    if (content.scopes.length > 0 && scopes.length === 0)
      context.output.note(`${content.file}: its list of scopes is not used. Correct it, and import the file again.`);
    const sharedInRun = importer.sharedInRun(content, plan);
    const clientOf = async (result: Imported['result'], grant: Grant | null) => {
      const known = {
        tenant: plan.tenant,
        provider: plan.provider,
        account: plan.account,
        result,
        namesOrganization: content.orgId !== undefined,
        grant,
      };
      return { ...known, next: await nextSteps(known, definition) };
    };
    if (vault === null) {
      return { ...target, file, result: 'imported', sharedWith: sharedInRun, client: await clientOf('imported', null) };
    }
    const { sharedWith, ...stored } = await importer.store(vault, content, plan);
    // In a dry run, the other files are not stored yet.
    const shared = sharedWith.length === 0 ? sharedInRun : sharedWith;
    const client = await clientOf(stored.result, await vault.grants.get(plan));
    return { ...target, file, ...stored, sharedWith: shared, client };
  } catch (thrown) {
    const error = toGrantryError(thrown);
    if (error.code === 'internal') throw thrown;
    return { ...target, file, error };
  }
}

function noteUnused(context: Context, content: ClientFile): void {
  for (const key of content.repeated)
    context.output.note(`${content.file}: ${key} appears several times; the last value is used.`);
  if (context.settings.verbose && content.ignored.length > 0) {
    context.output.note(`${content.file}: not used: ${content.ignored.join(', ')}`);
  }
}

/** The options of the run that the report needs. */
type Run = Readonly<Required<Pick<ImportOptions, 'dryRun' | 'replace'>>>;

const words = {
  imported: ['imported', 'would import'],
  replaced: ['replaced', 'would replace'],
  unchanged: ['unchanged', 'unchanged'],
  kept: ['kept', 'kept'],
  condemned: ['is condemned', 'is condemned'],
  disconnected: ['is disconnected', 'is disconnected'],
} as const satisfies Record<Imported['result'], readonly [string, string]>;

function wordOf({ result }: Outcome, { dryRun }: Run): string {
  return result === undefined ? 'failed' : words[result][dryRun ? 1 : 0];
}

function report(context: Context, outcomes: readonly Outcome[], run: Run): void {
  if (context.output.json) return context.output.printJson(outcomes.map((outcome) => item(outcome, run)));
  printTable(context.output, outcomes, {
    FILE: ({ file }) => file,
    TENANT: ({ tenant }) => tenant ?? '-',
    DC: ({ dc }) => dc ?? '-',
    APP: ({ app }) => app ?? '-',
    RESULT: (outcome) => wordOf(outcome, run),
    DETAIL: (outcome) => detail(outcome, run),
  });
  const failed = outcomes.filter(({ error }) => error !== undefined).length;
  context.output.note(`${counted(outcomes.length, 'file')}, ${failed === 0 ? 'no failures' : `${failed} failed`}.`);
}

function detail(outcome: Outcome, { replace, dryRun }: Run): string {
  const { error, result, differs = [], sharedWith = [], appScopes = [] } = outcome;
  if (error !== undefined) return `${error.message} ${error.action}`;
  const hint = (text: string): string => (replace ? '' : `; --replace ${text}`);
  const parts: string[] = [];
  if (result === 'kept') parts.push(`other tokens were stored since${hint('puts this one in their place')}`);
  if (result === 'condemned') parts.push(`the provider refused it${hint('stores a token that it never had')}`);
  if (result === 'disconnected') parts.push(`it was disconnected since${hint('connects it again')}`);
  if (differs.length > 0) parts.push(`stays different: ${differs.map(shortName).join(', ')}${hint('changes that')}`);
  if (sharedWith.length > 0) parts.push(`the same refresh token is stored for ${sharedWith.map(keyText).join(', ')}`);
  if (appScopes.length > 0) parts.push(`the app had no scopes, and ${dryRun ? 'would get' : 'gets'} those of the file`);
  return parts.join('. ');
}

/** The name of a member as the file has it. */
function shortName(member: string): string {
  const names: Record<string, string> = {
    client_id: 'ZOHO_CLIENT_ID',
    client_secret: 'ZOHO_CLIENT_SECRET',
    'metadata.org_id': 'ZOHO_ORG_ID',
    'metadata.dc': 'ZOHO_DC',
  };
  return names[member] ?? member;
}

function item(outcome: Outcome, run: Run): Record<string, unknown> {
  return {
    file: outcome.file,
    tenant: outcome.tenant ?? null,
    provider: outcome.provider ?? null,
    account: outcome.account ?? null,
    app: outcome.app ?? null,
    dc: outcome.dc ?? null,
    result: wordOf(outcome, run).replace(' ', '_'),
    differs: outcome.differs ?? [],
    shared_with: (outcome.sharedWith ?? []).map(checkKey),
    ...(outcome.appScopes === undefined ? {} : { app_scopes: outcome.appScopes }),
    error: outcome.error === undefined ? null : errorItem(outcome.error),
    next: outcome.client?.next ?? [],
  };
}

function keyText(key: GrantKey): string {
  const account = key.account ?? defaultAccount;
  return `${key.tenant} at ${key.provider}${account === defaultAccount ? '' : ` (${account})`}`;
}

/** The exit code: 2 when a file is bad, else that of the first failure. */
function exitCodeOf(outcomes: readonly Outcome[]): number {
  const codes = outcomes.flatMap((outcome) =>
    outcome.error === undefined ? [] : [errorCodes[outcome.error.code].exit],
  );
  return codes.includes(2) ? 2 : (codes[0] ?? 0);
}
