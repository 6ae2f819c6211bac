import { z } from 'zod';
import { Secret } from '../../base/secret.ts';
import type { PinnedTenant, SealPlace } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';

const ownerShape = z.object({ id: z.string(), host: z.string(), pid: z.number() });

const members = {
  tenant: z.string(),
  grantId: z.string(),
  attemptId: z.string(),
  generation: z.number(),
  fence: z.number(),
  /** The fingerprint of the token that was spent. */
  tokenFingerprint: z.string(),
  candidateId: z.string().nullable(),
  owner: ownerShape,
  at: z.number(),
};

/** Version 1 binds no facts: earlier versions wrote it. */
const spoolHead = z.discriminatedUnion('version', [
  z.strictObject({ ...members, version: z.literal(1) }),
  z.strictObject({ ...members, version: z.literal(2), facts: z.array(z.string()) }),
]);

/** Identification of the attempt that a spooled answer belongs to. It contains no secret. */
export type SpoolHead = z.output<typeof spoolHead>;

const reservation = z.object({ owner: ownerShape });

const spooledAnswer = z.object({
  status: z.number(),
  contentType: z.string().nullable(),
  retryAfter: z.string().nullable(),
  body: z.string().nullable(),
  incomplete: z.boolean(),
  requestedAt: z.number(),
});

/** Seals an answer under its head. */
export function sealAnswer(head: SpoolHead, tenant: PinnedTenant, raw: RawAnswer): string {
  return `${JSON.stringify(head)}\n${tenant.seal(spoolPlace(head), sealable(raw))}\n`;
}

/** Opens what {@link sealAnswer} made; throws if it was changed, moved, or sealed under other keys. */
export function openSealed(head: SpoolHead, tenant: PinnedTenant, sealed: string): RawAnswer {
  return answerOf(tenant.open(spoolPlace(head), sealed));
}

/** Writes an answer as the text that is sealed. */
export function sealable(raw: RawAnswer): Secret {
  return new Secret(JSON.stringify({ ...raw, body: raw.body?.reveal() ?? null }));
}

/** Reads what {@link sealable} made. */
export function answerOf(plain: Secret): RawAnswer {
  const answer = spooledAnswer.parse(JSON.parse(plain.reveal()));
  return { ...answer, body: answer.body === null || answer.body === '' ? null : new Secret(answer.body) };
}

/** Parses the head of a file; undefined for a damaged one. */
export function readHead(line: string): SpoolHead | undefined {
  return parsed(line, spoolHead);
}

/** The first line of a reservation: it names the owner, so that no other process sweeps a living owner's file. */
export function reservationLine(owner: SpoolHead['owner']): string {
  return `${JSON.stringify({ owner })}\n`;
}

/** Returns the id of a reservation's owner; undefined in the reservations of earlier versions. */
export function ownerOfReservation(line: string): string | undefined {
  return parsed(line, reservation)?.owner.id;
}

function parsed<T>(line: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** Binds the seal to the attempt: a renamed or edited file does not open. */
function spoolPlace(head: SpoolHead): SealPlace {
  const { grantId: row, attemptId, fence, generation } = head;
  return { table: 'spool', row, column: `${attemptId}:${fence}`, generation, facts: factsOfHead(head) };
}

/** The facts under which the spent token was opened; undefined in the files of earlier versions. */
export function factsOfHead(head: SpoolHead): readonly string[] | undefined {
  return head.version === 1 ? undefined : head.facts;
}
