import { hashesText } from '../../audit/edges.ts';
import { exportForm } from '../../audit/export-file.ts';
import { findHead } from '../../storage/statements/audit/head.ts';
import type { VaultContext } from '../context.ts';
import { signNow } from './checkpoint.ts';
import { onlyShard } from './leaf.ts';
import { storedParts } from './parts.ts';
import { DetailsOpener } from './read.ts';
import { sequenceEntries } from './sequence.ts';
import { originOf, verifiersOf } from './signing-keys.ts';

/**
 * Copies the log as lines of JSON, which `verifyExport` checks without the database: a head, then hashes, entries and
 * checkpoints in their order. Details are copied as far as they are not erased.
 */
export async function* exportLog(context: VaultContext): AsyncGenerator<string> {
  const { store } = context;
  if (context.guard.reason === null) {
    await sequenceEntries(context);
    await signNow(context);
  }
  const size = (await findHead(store.db, onlyShard))?.size ?? 0;
  yield JSON.stringify({
    log: exportForm,
    origin: await originOf(context),
    size,
    verifiers: await verifiersOf(context),
  });
  const opener = new DetailsOpener(context);
  for await (const part of storedParts(store.db, size)) {
    if (part.kind === 'hashes') yield `{"hashes":"${hashesText(part.hashes)}"}`;
    else if (part.kind === 'checkpoint') yield JSON.stringify({ checkpoint: part.note, size: part.size });
    else {
      for (const [at, entry] of part.entries.entries()) {
        const row = part.rows[at];
        const salted = row === undefined ? undefined : (await opener.open(row))?.salted;
        yield salted === undefined ? `{"entry":${entry}}` : `{"entry":${entry},"details":${JSON.stringify(salted)}}`;
      }
    }
  }
}
