import type { Command } from 'commander';
import { toJson } from '../../schemas/json.ts';
import type { AdoptReport, Vault } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { exitCodeOf, usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { canPrompt, promptLine } from '../terminal/prompt.ts';
import { table } from '../terminal/table.ts';

interface AdoptOptions {
  afterRestore?: boolean;
  yes?: boolean;
}

const meaning = `Adopting declares this database the one that refreshes, from now on. Make sure first that the original, or any other copy of
it, is stopped for good: two databases that refresh the same grants end them at providers whose tokens rotate.`;

export function define(command: Command): void {
  command
    .description('Ends the quarantine of a restored or cloned database, grant by grant, non-rotating ones first.')
    .option('--after-restore', 'probe grants with rotating tokens too: each is refreshed once, now')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `
${meaning}

Then each grant whose refresh token does not rotate is refreshed once, which proves it and harms nothing. Rotating tokens are
spent only with --after-restore: those in a backup may be older than what the provider has given since.

The exit code is 4 if a grant needs re-authorization.

Examples:
  grantry adopt
  grantry adopt --after-restore --yes --json`,
    )
    .action(async (options: AdoptOptions) => adopt(contextOf(command), options));
}

async function adopt(context: Context, options: AdoptOptions): Promise<void> {
  const { output } = context;
  await using vault = await openContextVault(context);
  const quarantined = vault.quarantine !== null;
  if (quarantined) await confirm(context, vault, options);
  const reports: AdoptReport[] = [];
  await withProgress(
    context.world,
    () => `Probing grants: ${reports.length} done`,
    () => vault.adopt({ afterRestore: options.afterRestore === true, onReport: (report) => void reports.push(report) }),
  );
  process.exitCode = exitCodeOf(reports.map((report) => (report.outcome === 'failed' ? codeOf(report) : null)));
  if (output.json) {
    output.printJson(reports.map((each) => toJson(each)));
    return;
  }
  if (quarantined) output.note('The database is adopted: it refreshes from now on.');
  const rows = reports.map((report) => [
    report.tenant,
    report.provider,
    report.account,
    report.outcome,
    detailOf(report, options),
  ]);
  if (rows.length === 0) output.note('It has no grants to probe.');
  else for (const line of table(['TENANT', 'PROVIDER', 'ACCOUNT', 'OUTCOME', 'DETAIL'], rows)) output.print(line);
}

async function confirm({ output }: Context, vault: Vault, options: AdoptOptions): Promise<void> {
  output.note(`This database is quarantined: ${vault.quarantine ?? ''}`);
  if (options.yes === true) return;
  output.note(meaning);
  if (!canPrompt()) {
    throw usageError('Adopting wants a confirmation, and nobody can be asked here.', 'Run it again with --yes.');
  }
  const answer = await promptLine('Adopt this database? Type yes: ', { secret: false });
  if (answer.toLowerCase() !== 'yes') throw usageError('Nothing was adopted.', 'Type yes, or give --yes.');
}

function codeOf(report: AdoptReport): string {
  return report.error ?? 'internal';
}

function detailOf(report: AdoptReport, options: AdoptOptions): string {
  if (report.outcome === 'refreshed') return 'the provider takes it';
  if (report.outcome === 'not_probed') return 'its token rotates: spent when it is needed';
  if (report.error === 'reauthorization_required') return `grantry connect ${report.tenant} ${report.provider}`;
  // A first refusal is not believed; a second look follows.
  if (report.error === 'refresh_uncertain')
    return 'refused or unanswered once: look again in a minute with grantry list';
  return `${codeOf(report)}${options.afterRestore === true ? '' : ': grantry health tells more'}`;
}
