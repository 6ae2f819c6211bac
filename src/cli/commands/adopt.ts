import type { Command } from 'commander';
import { commandFor } from '../../base/ids.ts';
import { toJson } from '../../schemas/json.ts';
import type { AdoptReport, Vault } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { epilogue } from '../options.ts';
import { exitCodeOf, usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { canPrompt, promptLine } from '../terminal/prompt.ts';
import { keyColumns, printTable } from '../terminal/table.ts';

interface AdoptOptions {
  afterRestore?: boolean;
  yes?: boolean;
}

const meaning =
  'After adopt, this database refreshes the grants. Stop the original and every other copy first: where tokens rotate, ' +
  'a provider ends grants that two databases refresh.';

export function define(command: Command): void {
  command
    .description('Ends the quarantine of a restored or cloned database, and checks its grants.')
    .option('--after-restore', 'also refresh once each grant whose refresh token rotates')
    .option('-y, --yes', 'do not ask for confirmation')
    .addHelpText(
      'after',
      epilogue(`${meaning}

Each grant whose refresh token does not rotate is refreshed once, which cannot harm it. Rotating tokens are used only with --after-restore: the token in a backup may be older than the one that the provider issued last.

The exit code is 4 if a grant needs re-authorization.

Examples:
  grantry adopt
  grantry adopt --after-restore --yes --json`),
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
    () => `Checking grants: ${reports.length} done`,
    () => vault.adopt({ afterRestore: options.afterRestore === true, onReport: (report) => void reports.push(report) }),
  );
  process.exitCode = exitCodeOf(reports.map((report) => (report.outcome === 'failed' ? codeOf(report) : null)));
  const setAside = reports.filter(({ outcome }) => outcome === 'set_aside').length;
  if (setAside > 0) {
    output.note(`Warning: the database refuses the newest answers of ${setAside} grants, which wait in the spool.`);
  }
  if (output.json) return output.printJson(reports.map((each) => toJson(each)));
  if (quarantined) output.note('The quarantine is over: this database refreshes its grants.');
  if (reports.length === 0) return output.note('It has no grants to check.');
  printTable(output, reports, {
    ...keyColumns,
    OUTCOME: ({ outcome }) => outcome,
    DETAIL: (report) => detailOf(report, options),
  });
}

async function confirm({ output }: Context, vault: Vault, options: AdoptOptions): Promise<void> {
  output.note(`This database is quarantined: ${vault.quarantine ?? ''}`);
  if (options.yes === true) return;
  output.note(meaning);
  if (!canPrompt()) {
    throw usageError('grantry adopt needs a confirmation, and standard input is not a terminal.', 'Run it with --yes.');
  }
  const answer = await promptLine('Adopt this database? Type yes: ', { secret: false });
  if (answer.toLowerCase() !== 'yes')
    throw usageError('The database stays quarantined.', 'Type yes at the prompt, or run grantry adopt --yes.');
}

function codeOf(report: AdoptReport): string {
  return report.error ?? 'internal';
}

/** Says what became of one grant, and what to do about it. */
export function detailOf(report: AdoptReport, options: AdoptOptions): string {
  if (report.outcome === 'refreshed') return 'the provider accepts its token';
  if (report.outcome === 'not_probed') return 'its token rotates; it is refreshed when it is needed';
  if (report.error === 'reauthorization_required') return commandFor('connect', report);
  if (report.outcome === 'set_aside') return `mend the cause, then ${commandFor('recover', report)}`;
  // One refusal is not yet a verdict: the vault asks a second time.
  if (report.error === 'refresh_uncertain') return 'refused or unanswered once; run grantry list in a minute';
  return `${codeOf(report)}${options.afterRestore === true ? '' : '; grantry health says more'}`;
}
