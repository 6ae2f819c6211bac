import { readVerifiers, seqOfText } from '../../audit/export-file.ts';
import { type LogKeys, type LogPart, type LogReport, verifyLog } from '../../audit/stream.ts';
import { findHead } from '../../storage/statements/audit/head.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { signNow } from './checkpoint.ts';
import { onlyShard } from './leaf.ts';
import { storedParts } from './parts.ts';
import { sequenceEntries } from './sequence.ts';
import { verifiersOf } from './signing-keys.ts';

/**
 * Checks the whole log of a vault: every entry against its stored hash, every checkpoint against entries and signature.
 *
 * @param options `verifiers` are public keys that the caller kept elsewhere; else those of the database are taken
 */
export async function verifyStored(
  context: VaultContext,
  options: {
    readonly verifiers?: readonly string[] | undefined;
    readonly onProgress?: ((entries: number, of: number) => void) | undefined;
  } = {},
): Promise<LogReport> {
  const { store } = context;
  if (context.guard.reason === null) {
    await sequenceEntries(context);
    await signNow(context);
  }
  const keys = readVerifiers(options.verifiers ?? (await verifiersOf(context)));
  const size = (await findHead(store.db, onlyShard))?.size ?? 0;
  const onProgress = (entries: number): void => options.onProgress?.(entries, size);
  const report = await checkParts(storedParts(store.db, size), { keys, size, onProgress });
  // A checkpoint that fits no key of the caller may be the fault of the keys.
  const isCertain =
    report.finding !== null && (report.finding.kind !== 'bad_checkpoint' || options.verifiers === undefined);
  if (report.finding !== null && isCertain && context.guard.reason === null) await tellFailure(context, report.finding);
  return report;
}

/** The facts by which a log is checked. */
export interface Known {
  readonly keys: readonly LogKeys[];
  readonly size: number;
  readonly onProgress?: ((entries: number) => void) | undefined;
}

/** Checks the parts of a log. */
export function checkParts(parts: AsyncIterable<LogPart>, known: Known): Promise<LogReport> {
  return verifyLog(parts, { ...known, seqOf: seqOfText });
}

/** A log that fails is told in the log as well: the entry reaches every copy of it. */
async function tellFailure(context: VaultContext, finding: NonNullable<LogReport['finding']>): Promise<void> {
  const { kind, seq } = finding;
  context.logger.error('the audit log is not as it was signed', { kind, seq });
  await changing(context, async ({ recordOther }) => {
    recordOther({ type: 'audit.failed', reason: kind, details: { seq } });
  });
}
