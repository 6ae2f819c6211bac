import { z } from 'zod';
import { page } from './page.ts';
import { list, thing, time } from './thing.ts';

export const actorKinds = ['key', 'user', 'worker', 'session'] as const;
export const auditOutcomes = ['ok', 'failed', 'refused'] as const;

export const auditActorSchema = z
  .object({
    kind: z.enum(actorKinds),
    /** The id of an API key, the name of a user of the machine, the owner of workers, or the id of a connect session. */
    id: z.string(),
    name: z.string().nullable(),
  })
  .meta({
    description: 'Who did it: an API key, a user of the machine, a worker, or the browser of a connect session.',
  });

export const auditDetailsSchema: z.ZodType<
  Readonly<Record<string, string | number | boolean | null>>,
  Record<string, string | number | boolean | null>
> = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .meta({ description: 'Names, numbers and fingerprints of tokens; never a secret.' });

const example = {
  seq: 4711,
  at: '2026-11-22T08:41:12.000Z',
  actor: { kind: 'key', id: '019aa1b2-7c3d-7000-8000-0123456789ab', name: 'billing' },
  source: 'http 192.0.2.10',
  action: 'token.handed_out',
  tenant: 'acme',
  provider: 'zoho_crm',
  account: 'default',
  generation: 3,
  outcome: 'ok',
  code: null,
  reason: null,
  count: 12,
  first_at: '2026-11-22T08:41:11.120Z',
  last_at: '2026-11-22T08:41:12.000Z',
  details: {},
};

export const auditEntrySchema = thing(
  {
    id: 'AuditEntry',
    description: 'One line of the audit log: who did what, to which grant, and how it ended.',
    example,
  },
  {
    /** The place in the log, from 0, without gaps. */
    seq: z.int().meta({ description: 'The place in the log, from 0, without gaps.' }),
    at: time,
    actor: auditActorSchema,
    /** The place it came from: `cli`, `library`, `worker`, `browser`, or `http` and the address of the caller. */
    source: z.string().meta({
      description:
        'Where it came from: `cli`, `library`, `worker`, `browser`, or `http` and the address of the caller.',
    }),
    /** The action, as `noun.verb`. */
    action: z.string().meta({ description: 'What was done, as `noun.verb`.' }),
    /** `null` for a change of the installation. */
    tenant: z.string().nullable().meta({ description: '`null` for a change of the installation.' }),
    provider: z.string().nullable(),
    account: z.string().nullable(),
    generation: z.int().nullable(),
    outcome: z.enum(auditOutcomes),
    /** The error code of a refusal. */
    code: z.string().nullable().meta({ description: 'The error code of a refusal.' }),
    /** The vault's word for why, or the reason that a person gave. */
    reason: z.string().nullable().meta({ description: "The vault's word for why, or the reason that a person gave." }),
    /** Number of equal events that the entry tells; `null` for one event. */
    count: z.int().nullable().meta({ description: 'How many equal events the entry tells; `null` for one event.' }),
    firstAt: time.nullable(),
    lastAt: time.nullable(),
    /** `null` if there are none, or the tenant was shredded. */
    details: auditDetailsSchema
      .nullable()
      .meta({ description: '`null` if there are none, or the tenant was shredded.' }),
  },
);

/** One line of the audit log: who did what, to which grant, and how it ended. */
export interface AuditEntry extends Readonly<z.output<typeof auditEntrySchema>> {}

export const auditPageSchema = page('AuditPage', 'Entries of the audit log.', auditEntrySchema, example);

/** One page of the audit log. */
export interface AuditPage extends Readonly<z.output<typeof auditPageSchema>> {}

const verifierExample = 'grantry.example/0a1b+c7d8e9f0+AQIDBA';

export const auditCheckpointSchema = thing(
  {
    id: 'AuditCheckpoint',
    description: 'The size and the root of the log, signed. Its keeper can prove any later change of these entries.',
    example: {
      size: 4712,
      root: 'cyGUkmkNv0vVW4ZzvYQxZmpzYG1yQ3Zlc2x1ZXJ0eQ==',
      note: 'grantry.example/0a1b\n4712\ncyGU…\n\n— grantry.example/0a1b x9jp8A…\n',
      verifiers: [verifierExample],
    },
  },
  {
    size: z.int(),
    /** The root hash of the first `size` entries, as base64. */
    root: z.string().meta({ description: 'The root hash of the first `size` entries, as base64.' }),
    /** The signed note, in the form of C2SP tlog-checkpoint. */
    note: z.string().meta({ description: 'The signed note, in the form of C2SP tlog-checkpoint.' }),
    /** The public keys that verify it. Keep them outside of the database. */
    verifiers: list(z.string()).meta({
      description: 'The public keys that verify it. Keep them outside of the database.',
    }),
  },
);

/** The size and the root of the log, signed. */
export interface AuditCheckpoint extends Readonly<z.output<typeof auditCheckpointSchema>> {}

export const auditProofSchema = thing(
  {
    id: 'AuditProof',
    description: 'The proof that an entry is in the log of a checkpoint. It shows no other entry.',
    example: {
      seq: 4711,
      entry:
        '{"action":"app.put","actor":{"id":"ada","kind":"user"},"at":1795336872000,"outcome":"ok","seq":4711,"source":"cli"}',
      proof: ['cyGUkmkNv0vVW4ZzvYQxZmpzYG1yQ3Zlc2x1ZXJ0eQ=='],
      checkpoint: 'grantry.audit/0a1b\n4712\ncyGU…\n\n— grantry.audit/0a1b x9jp8A…\n',
      verifiers: [verifierExample],
    },
  },
  {
    seq: z.int(),
    /** The canonical text of the entry, of which the leaf is the hash. */
    entry: z.string().meta({ description: 'The canonical text of the entry, of which the leaf is the hash.' }),
    /** Hashes as base64, lowest first (RFC 6962 §2.1.1). */
    proof: list(z.string()).meta({ description: 'Hashes as base64, lowest first (RFC 6962 section 2.1.1).' }),
    checkpoint: z.string(),
    verifiers: list(z.string()),
  },
);

/** The proof that an entry is in the log of a checkpoint. It shows no other entry. */
export interface AuditProof extends Readonly<z.output<typeof auditProofSchema>> {}
