import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { epilogue } from '../options.ts';
import { type Allowance, allowListName, readAllowList } from '../scan/allow-list.ts';
import { Git } from '../scan/git.ts';
import { installHook } from '../scan/hook.ts';
import { loadLinter } from '../scan/linter.ts';
import { type Finding, type ScanResult, scanAll } from '../scan/scan.ts';
import { historyFiles, plainFiles, refuseMissing, type Source, stagedFiles, trackedFiles } from '../scan/sources.ts';
import { usageError } from '../terminal/errors.ts';
import { counted } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';

interface ScanOptions {
  staged?: boolean;
  history?: boolean;
  installHook?: boolean;
}

/** The exit code where something was found; no error has it. */
const exitFound = 8;
const fingerprintChars = 8;

export function define(command: Command): void {
  command
    .description(
      "Looks for tokens and keys in files: with Grantry's own rules, and with secretlint and its recommended rules from " +
        'this project. A finding names the file, the line and the rule, and never shows the secret.',
    )
    .argument('[path...]', 'files or directories; this directory if left out')
    .option('--staged', 'scan what the next commit would contain, as it is in the index of git')
    .option('--history', 'scan every content that a branch, a tag or a stash of git reaches')
    .option('--install-hook', 'write a pre-commit hook that runs grantry scan --staged, and scan nothing')
    .addHelpText(
      'after',
      epilogue(`The exit code is 8 if something was found. ${allowListName} in the root of the repository allows single findings until a day.

Examples:
  grantry scan
  grantry scan --staged
  grantry scan --history --json
  grantry scan --install-hook`),
    )
    .action(async (paths: string[], options: ScanOptions) => scan(contextOf(command), paths, options));
}

async function scan(context: Context, paths: readonly string[], options: ScanOptions): Promise<void> {
  if ([options.staged, options.history, options.installHook].filter((each) => each === true).length > 1) {
    throw usageError('--staged, --history and --install-hook exclude each other.');
  }
  const directory = process.cwd();
  const git = new Git(directory);
  if (options.installHook === true) return install(context, git, paths);
  const lint = loadLinter(directory);
  const needsGit = options.staged === true || options.history === true;
  const root = needsGit ? await rootOf(git) : await rootOf(git).catch(() => null);
  if (!needsGit) await refuseMissing(paths);
  const allowList = await readAllowList(root ?? directory, context.world.now());
  let done = 0;
  const result = await withProgress(
    context.world,
    () => `Scanning: ${counted(done, 'file')}`,
    async () => {
      await using objects = needsGit ? git.objects() : null;
      const sources =
        objects === null
          ? worktree(git, { root, directory, paths })
          : options.staged === true
            ? stagedFiles(git, objects, paths)
            : historyFiles(git, objects, paths);
      return await scanAll(sources, { lint, allowList, count: () => (done += 1) });
    },
  );
  if (options.history === true && (await git.text('rev-parse', '--is-shallow-repository')) === 'true') {
    context.output.note('This clone is shallow: its older history was not scanned.');
  }
  report(context, result, allowList.expired);
}

function worktree(
  git: Git,
  { root, directory, paths }: { root: string | null; directory: string; paths: readonly string[] },
): AsyncIterable<Source> {
  const wanted = paths.length === 0 ? ['.'] : paths;
  return root === null ? plainFiles(directory, wanted) : trackedFiles(git, root, wanted);
}

async function rootOf(git: Git): Promise<string> {
  return git.text('rev-parse', '--show-toplevel');
}

async function install({ output }: Context, git: Git, paths: readonly string[]): Promise<void> {
  if (paths.length > 0) throw usageError('--install-hook takes no path.');
  const { file, changed } = await installHook(git, process.cwd());
  if (output.json) output.printJson({ hook: file, changed });
  else output.print(changed ? `Wrote the hook ${file}.` : `The hook ${file} is up to date.`);
}

function report({ output }: Context, result: ScanResult, expired: readonly Allowance[]): void {
  const { findings, allowed, files, passedOver } = result;
  if (findings.length > 0) process.exitCode = exitFound;
  const withFingerprint = (finding: Finding): object => ({ ...finding, fingerprint: fingerprintOf(finding) });
  if (output.json) {
    output.printJson({
      findings: findings.map(withFingerprint),
      allowed: allowed.map(withFingerprint),
      expired,
      files,
      passed_over: passedOver,
    });
    return;
  }
  for (const finding of findings) output.print(lineOf(finding));
  for (const entry of expired) {
    const fingerprints = entry.sha256.map((sha256) => fingerprintOf({ sha256 })).join(' ');
    output.note(`Expired on ${entry.expires} in ${allowListName}: ${entry.file} ${fingerprints} (${entry.reason})`);
  }
  const binary = passedOver === 0 ? '' : `, ${passedOver} without text passed over`;
  output.note(`${counted(files, 'file')} scanned${binary}: ${counted(findings.length, 'finding')}.`);
  if (findings.length > 0) {
    output.note('End each secret at its provider: taking it out of the file does not make it secret again.');
  }
}

function lineOf(finding: Finding): string {
  const blob = finding.blob === undefined ? '' : `  blob ${finding.blob.slice(0, 12)}`;
  return `${finding.file}:${finding.line}  ${finding.rule}  ${fingerprintOf(finding)}${blob}`;
}

function fingerprintOf({ sha256 }: { readonly sha256: string }): string {
  return sha256.slice(0, fingerprintChars);
}
