import { readVerifiers } from '../../audit/export-file.ts';
import type { NoteVerifier } from '../../audit/note.ts';
import { addCosignatures, formatAddCheckpoint } from '../../audit/witness.ts';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import type { World } from '../../base/world.ts';
import type { VaultContext } from '../context.ts';
import { checkpointNow } from './checkpoint.ts';
import { proveGrowth } from './prove.ts';

/** The checkpoint with the signature of a witness. */
export interface Witnessed {
  readonly size: number;
  /** The signed note, with the lines of the log and of the witness. */
  readonly note: string;
}

/** A witness and its public keys. */
export interface WitnessPlace {
  /** The address before `/add-checkpoint`. */
  readonly url: string;
  readonly verifiers: readonly string[];
}

const triesMax = 3;

/**
 * Has a witness sign the log as it is (C2SP tlog-witness). The witness compares it with what it signed before, so a log that
 * was rewritten gets no signature, even if the rewriter has the log's own key.
 *
 * @throws {GrantryError} `integrity_failed` if the witness has signed another log under this name
 */
export async function witnessLog(context: VaultContext, world: World, place: WitnessPlace): Promise<Witnessed> {
  const keys = readVerifiers(place.verifiers).flatMap(({ verifiers }) => verifiers);
  if (keys.length === 0) throw invalidRequest('The public key of the witness is missing.');
  const { note, size } = await checkpointNow(context);
  let oldSize = 0;
  for (let tries = 0; tries < triesMax; tries += 1) {
    if (oldSize > size) throw otherLog(`it has signed ${oldSize} entries, and the log has ${size}`);
    const proof = await proveGrowth(context, oldSize, size);
    const answer = await send(world, place.url, formatAddCheckpoint({ oldSize, proof, checkpoint: note }));
    if (answer.status === 200) return { size, note: cosigned(note, answer.text, keys) };
    // The witness names the size that it has signed, and the next request proves that the log goes on from there.
    const known = answer.status === 409 ? /^(\d{1,15})\s*$/.exec(answer.text)?.[1] : undefined;
    if (known === undefined) throw refusal(answer.status);
    if (Number(known) === oldSize) throw otherLog('it has signed another root for this size');
    oldSize = Number(known);
  }
  throw new GrantryError('provider_unavailable', 'The witness names another size each time.');
}

async function send(world: World, url: string, body: string): Promise<{ status: number; text: string }> {
  const target = `${url.replace(/\/+$/, '')}/add-checkpoint`;
  try {
    const response = await world.fetch(target, { method: 'POST', headers: { 'content-type': 'text/plain' }, body });
    return { status: response.status, text: (await response.text()).slice(0, 100_000) };
  } catch (cause) {
    throw new GrantryError('provider_unavailable', 'The witness does not answer.', { cause });
  }
}

function cosigned(note: string, answer: string, keys: readonly NoteVerifier[]): string {
  const witnessed = addCosignatures(note, answer, keys);
  if (witnessed !== undefined) return witnessed;
  throw new GrantryError('provider_error', 'The answer of the witness has no signature of its keys.', {
    action: 'Check the public key of the witness.',
  });
}

function refusal(status: number): GrantryError {
  if (status === 422) return otherLog('the log does not go on from what it has signed');
  const why =
    status === 404 ? 'does not know this log' : status === 403 ? 'knows the log by other keys' : `answers ${status}`;
  return new GrantryError('provider_error', `The witness ${why}.`, {
    action: 'Give it the public keys of the log: grantry audit checkpoint --keys',
  });
}

function otherLog(why: string): GrantryError {
  return new GrantryError('integrity_failed', `The witness refuses the audit log: ${why}.`, {
    action: 'The log was rewritten, or the database was restored without grantry adopt. Compare with an export.',
  });
}
