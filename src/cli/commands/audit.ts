import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import { verifyExport } from '../../audit/export-file.ts';
import { GrantryError } from '../../base/errors.ts';
import { toJson } from '../../schemas/json.ts';
import type { AuditEntry, AuditFilter, LogReport } from '../../vault/types.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { resolveTenant } from '../current-tenant.ts';
import { epilogue } from '../options.ts';
import { usageError } from '../terminal/errors.ts';
import { counted } from '../terminal/present.ts';
import { withProgress } from '../terminal/progress.ts';
import { printTable } from '../terminal/table.ts';

interface ListOptions {
  tenant?: string;
  provider?: string;
  account?: string;
  action?: string[];
  actor?: string;
  since?: string;
  until?: string;
  limit?: string;
}

export function define(command: Command): void {
  command.description(
    'The log of changes and hand-outs: who did what, to which grant, when, from where, and how it ended.',
  );
  defineList(command.command('list'));
  command
    .command('verify')
    .summary('check the log for changes')
    .description(
      'Checks every entry and every checkpoint, and names the first bad entry. With a FILE it checks an export, without the ' +
        'database. Give the public keys that you kept elsewhere: a forger of a log can also make new keys.',
    )
    .argument('[file]', 'an export of grantry audit export; - is standard input')
    .option('--key-file <file>', 'public keys that you kept, one per line')
    .addHelpText(
      'after',
      epilogue('Examples:\n  grantry audit verify\n  grantry audit verify audit.jsonl --key-file audit.pub'),
    )
    .action(async (file: string | undefined, options: { keyFile?: string }, leaf: Command) =>
      verify(contextOf(leaf), file, options),
    );
  command
    .command('export')
    .summary('copy the log as lines of JSON')
    .description('Copies the whole log as lines of JSON, to standard output or to a file.')
    .option('-o, --output <file>', 'the file to write')
    .addHelpText('after', epilogue('Example:\n  grantry audit export -o audit.jsonl'))
    .action(async (options: { output?: string }, leaf: Command) => exportLog(contextOf(leaf), options.output));
  command
    .command('checkpoint')
    .summary('sign the log as it is now')
    .description(
      'Signs the log as it is now and prints the checkpoint. Keep checkpoints out of the reach of those who can write the ' +
        'database. With --keys it prints the public keys instead.',
    )
    .option('--keys', 'print the public keys of the log')
    .addHelpText(
      'after',
      epilogue('Examples:\n  grantry audit checkpoint\n  grantry audit checkpoint --keys > audit.pub'),
    )
    .action(async (options: { keys?: boolean }, leaf: Command) => checkpoint(contextOf(leaf), options.keys === true));
  command
    .command('prove')
    .summary('prove that one entry is in the log')
    .description('Prints the proof that one entry is in the log, which shows no other entry (RFC 6962 section 2.1.1).')
    .argument('<seq>', 'the number of the entry')
    .addHelpText('after', epilogue('Example:\n  grantry audit prove 4711'))
    .action(async (seq: string, _options: unknown, leaf: Command) => prove(contextOf(leaf), seq));
  command
    .command('witness')
    .summary('have a witness sign the log, or be a witness')
    .description(
      'Has a witness sign the log as it is (C2SP tlog-witness), and prints the checkpoint with its signature. A witness ' +
        'refuses a log that was rewritten, even with the real key. With --listen it is a small witness itself.',
    )
    .argument('[url]', 'the address of the witness, before /add-checkpoint')
    .option('--key-file <file>', 'public keys: of the witness, or with --listen of the logs')
    .option('--listen <port>', 'be a witness at this port of 127.0.0.1')
    .option('--state <file>', 'with --listen: the file with what was signed, and the key')
    .option('--name <name>', 'with --listen: the name of a new witness', 'grantry-witness')
    .addHelpText(
      'after',
      epilogue(
        'Examples:\n  grantry audit witness http://127.0.0.1:8090 --key-file witness.pub\n  grantry audit witness --listen 8090 --state witness.json --key-file audit.pub',
      ),
    )
    .action(async (url: string | undefined, options: WitnessOptions, leaf: Command) =>
      witness(contextOf(leaf), url, options),
    );
}

interface WitnessOptions {
  keyFile?: string;
  listen?: string;
  state?: string;
  name: string;
}

function defineList(command: Command): void {
  command
    .summary('list entries, the newest first')
    .description('Lists entries of the log, the newest first.')
    .option('--tenant <tenant>', 'only entries about this tenant; . is the current one')
    .option('--provider <provider>', 'only entries about this provider')
    .option('--account <account>', 'only entries about this account')
    .option('--action <action...>', 'only these actions, such as token.handed_out')
    .option('--actor <id>', 'only what this API key (by id) or user did')
    .option('--since <time>', 'only entries of this time or later, such as 2026-11-30 or 2026-11-30T08:00Z')
    .option('--until <time>', 'only entries before this time')
    .option('--limit <count>', 'entries to show', '50')
    .addHelpText(
      'after',
      epilogue(
        'Examples:\n  grantry audit list --tenant acme\n  grantry audit list --action token.handed_out --since 2026-11-30',
      ),
    )
    .action(async (options: ListOptions, leaf: Command) => list(contextOf(leaf), options));
}

async function list(context: Context, options: ListOptions): Promise<void> {
  const { tenant, provider, account, action, actor, since, until, limit = '50' } = options;
  const wanted = /^\d{1,6}$/.test(limit) ? Number(limit) : Number.NaN;
  if (!(wanted >= 1)) throw usageError('--limit must be a whole number from 1 to 999999.');
  const filter: AuditFilter = {
    tenant: tenant === undefined ? undefined : await resolveTenant(context, tenant),
    provider,
    account,
    action,
    actor,
    since: timeOf('--since', since),
    until: timeOf('--until', until),
  };
  await using vault = await openContextVault(context);
  const entries = await withProgress(context.world, 'Reading the audit log', async () => {
    const found: AuditEntry[] = [];
    let cursor: string | undefined;
    do {
      const page = await vault.audit.list({ ...filter, cursor, limit: Math.min(500, wanted - found.length) });
      found.push(...page.items);
      cursor = page.next ?? undefined;
    } while (cursor !== undefined && found.length < wanted);
    return found;
  });
  if (context.output.json) return context.output.printJson(entries.map((entry) => toJson(entry)));
  if (entries.length === 0) return context.output.note('No entry matches.');
  printTable(context.output, entries, {
    SEQ: ({ seq }) => String(seq),
    TIME: ({ at }) => at.toISOString().slice(0, 19).replace('T', ' '),
    ACTION: ({ action: done, count }) => (count === null || count === 1 ? done : `${done} ×${count}`),
    OUTCOME: ({ outcome, reason, code }) => [outcome, reason ?? code].filter((word) => word !== null).join(' '),
    GRANT: ({ tenant: whose, provider: at, account: named }) =>
      [whose, at, named === 'default' ? null : named].filter((part) => part !== null).join('/') || '-',
    GEN: ({ generation }) => (generation === null ? '-' : String(generation)),
    WHO: ({ actor: who }) => `${who.kind} ${who.name ?? who.id}`,
    FROM: ({ source }) => source,
  });
}

function timeOf(option: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw usageError(`${option} must be a time such as 2026-11-30 or 2026-11-30T08:00Z.`);
  return at;
}

async function verify(context: Context, file: string | undefined, options: { keyFile?: string }): Promise<void> {
  const { output, world } = context;
  const verifiers = options.keyFile === undefined ? undefined : await keysIn(options.keyFile);
  let done = 'Checking the audit log';
  const onProgress = (entries: number, of: number): void => {
    done = `Checking the audit log: ${entries} of ${of} entries`;
  };
  const check = async (): Promise<LogReport> => {
    if (file !== undefined) return verifyExport(linesIn(file), { verifiers, onProgress });
    await using vault = await openContextVault(context);
    return vault.audit.verify({ verifiers, onProgress });
  };
  const report = await withProgress(world, () => done, check);
  const { entries, checkpoints, unsigned, finding } = report;
  if (output.json) output.printJson({ ...toJson({ entries, checkpoints, unsigned }), ok: finding === null, finding });
  if (finding !== null) throw badLog(finding);
  if (output.json) return;
  output.print(
    `${counted(entries, 'entry').replace(/entrys$/, 'entries')} and ${counted(checkpoints, 'checkpoint')}: as they were signed.`,
  );
  if (unsigned > 0) output.print(`The last ${unsigned} are not signed yet.`);
  if (verifiers === undefined) {
    const whose = file === undefined ? 'the database' : 'the file';
    output.note(`The public keys came from ${whose}. Keep them elsewhere, and name them with --key-file.`);
  }
}

const words: Readonly<Record<string, string>> = {
  edited: 'was changed',
  deleted: 'was removed',
  inserted: 'was put in',
  swapped: 'changed places with another one',
  renumbered: 'has another number',
  tail_cut: 'is missing, with all after it',
  stored_hash: 'has another stored hash',
  root: 'or a later one was changed',
};

function badLog(finding: NonNullable<LogReport['finding']>): GrantryError {
  const action = 'Find out who can write the database. Compare with an export or a checkpoint that you kept.';
  if (finding.kind === 'bad_checkpoint') {
    const { seq, why } = finding;
    return new GrantryError('integrity_failed', `The checkpoint of ${seq} entries is not good: ${why}.`, { action });
  }
  const what = words[finding.kind] ?? finding.kind;
  return new GrantryError('integrity_failed', `The audit log was changed: entry ${finding.seq} ${what}.`, { action });
}

async function keysIn(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw usageError(`${file} cannot be read.`);
  });
  return text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
}

async function* linesIn(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const failed = new Promise<never>((_, reject) => {
    input.once('error', () => reject(usageError(`${file} cannot be read.`)));
  });
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await Promise.race([lines.next(), failed]);
    if (done === true) return;
    yield value;
  }
}

async function exportLog(context: Context, file: string | undefined): Promise<void> {
  await using vault = await openContextVault(context);
  // The file holds no secret, but it tells who did what for whom.
  const out = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
  let lines = 0;
  await withProgress(
    context.world,
    () => `Copying the audit log: ${lines} lines`,
    async () => {
      for await (const line of vault.audit.export()) {
        lines += 1;
        if (!out.write(`${line}\n`)) await once(out, 'drain');
      }
      if (file !== undefined) await finished(out.end());
    },
  );
}

async function checkpoint(context: Context, keys: boolean): Promise<void> {
  await using vault = await openContextVault(context);
  const signed = await vault.audit.checkpoint();
  if (context.output.json) return context.output.printJson(toJson(signed));
  context.output.print(keys ? signed.verifiers.join('\n') : signed.note.trimEnd());
}

async function prove(context: Context, text: string): Promise<void> {
  if (!/^\d{1,15}$/.test(text)) throw usageError('An entry has a whole number from 0.');
  await using vault = await openContextVault(context);
  context.output.printJson(toJson(await vault.audit.prove(Number(text))));
}

async function witness(context: Context, url: string | undefined, options: WitnessOptions): Promise<void> {
  const { keyFile, listen, state, name } = options;
  if (keyFile === undefined) throw usageError('--key-file is missing.');
  const keys = await keysIn(keyFile);
  const { askWitness, beWitness } = await import('../audit/witness.ts');
  if (listen === undefined) {
    if (url === undefined) throw usageError('Name the address of a witness, or --listen PORT.');
    return askWitness(context, url, keys);
  }
  if (url !== undefined || state === undefined) throw usageError('--listen wants --state FILE, and no address.');
  if (!/^\d{1,5}$/.test(listen) || Number(listen) > 65_535) throw usageError('--listen wants a port from 0 to 65535.');
  await beWitness(context, { port: Number(listen), file: state, name, logKeys: keys });
}
