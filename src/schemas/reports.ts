import { z } from 'zod';
import { items } from './page.ts';
import { keyShape, thing } from './thing.ts';
import { adoptOutcomes, recoverOutcomes } from './words.ts';

const key = { tenant: 'acme', provider: 'zoho_crm', account: 'default' };

const example = { status: 'healthy', ...key, dc: 'eu', org_name: 'Acme Ltd', token_fingerprint: 'q2Jx0cW1h7Yb' };

const healthy = thing(
  { id: 'Healthy', description: 'The provider accepted the token.', example },
  {
    status: z.literal('healthy'),
    ...keyShape,
    dc: z.string().nullable(),
    orgName: z.string().nullable(),
    /** The scope that is missing for the organisation's name. */
    missingScope: z.string().optional().meta({ description: "The scope that is missing for the organisation's name." }),
    /** What is odd about the organisation, in words: it is not the grant's `org_id`, or the grant has none. */
    warning: z.string().optional().meta({
      description: "What is odd about the organisation: it is not the grant's `org_id`, or the grant has none.",
    }),
    tokenFingerprint: z.string(),
  },
);

const unhealthy = thing(
  {
    id: 'Unhealthy',
    description: 'The grant did not work.',
    example: {
      status: 'unhealthy',
      ...key,
      dc: 'eu',
      error: 'reauthorization_required',
      message: 'The provider refuses the refresh token.',
      action: 'acme must connect again: POST /v1/connect-sessions',
      action_required: true,
    },
  },
  {
    status: z.literal('unhealthy'),
    ...keyShape,
    dc: z.string().nullable(),
    /** The error's code. */
    error: z.string().meta({ description: "The error's code." }),
    message: z.string(),
    action: z.string(),
    /** True when only a person can cure it. */
    actionRequired: z.boolean().meta({ description: 'True when only a person can cure it.' }),
  },
);

export const healthSchema = z.union([healthy, unhealthy]).meta({
  id: 'Health',
  description: 'The result of a real call to the provider.',
  examples: [example],
});

/**
 * The result of a real call to the provider.
 *
 * @useDeclaredType
 */
export type HealthReport = Readonly<z.output<typeof healthy>> | Readonly<z.output<typeof unhealthy>>;

export const recoverySchema = thing(
  {
    id: 'Recovery',
    description: 'The result of a recovery.',
    example: { ...key, outcome: 'recovered', tried: 1 },
  },
  {
    ...keyShape,
    /**
     * `recovered`: it has new tokens. `refused`: every token that was kept was refused again. `under_way`: another process
     * is trying. `failed`: the provider or the app prevented it, see `error`. `not_needed`: it is active.
     */
    outcome: z.enum(recoverOutcomes).meta({
      description:
        '`recovered`: it has new tokens. `refused`: every token that was kept was refused again. `under_way`: another ' +
        'process is trying. `failed`: the provider or the app prevented it. `not_needed`: it is active.',
    }),
    /** Tokens that were tried. */
    tried: z.int().meta({ description: 'Tokens that were tried.' }),
    error: z.string().optional(),
  },
);

/** The result of trying a condemned grant again. */
export interface RecoverReport extends Readonly<z.output<typeof recoverySchema>> {}

const adoptedGrant = thing(
  { id: 'AdoptedGrant', description: 'One grant after an adoption.', example: { ...key, outcome: 'refreshed' } },
  {
    ...keyShape,
    /**
     * `not_probed`: its tokens rotate, and only `afterRestore` spends one to find out. `set_aside`: the database refuses
     * to save its newest answer, which waits in the spool.
     */
    outcome: z.enum(adoptOutcomes).meta({
      description:
        '`not_probed`: its tokens rotate, and only `after_restore` spends one to find out. `set_aside`: the database ' +
        'refuses to save its newest answer, which waits in the spool.',
    }),
    error: z.string().optional(),
  },
);

/** One grant after an adoption. */
export interface AdoptReport extends Readonly<z.output<typeof adoptedGrant>> {}

export const adoptionSchema = items('Adoption', 'All grants after an adoption.', adoptedGrant, {
  ...key,
  outcome: 'refreshed',
});

export const adoptInputSchema = thing(
  {
    id: 'AdoptInput',
    description: 'The way in which a database is adopted.',
    example: { after_restore: false },
    strict: true,
  },
  {
    afterRestore: z
      .boolean()
      .optional()
      .meta({ description: 'True after a restore from a backup: also probes grants whose tokens rotate.' }),
  },
);

export const statusSchema = thing(
  { id: 'Status', description: 'The state of the server.', example: { status: 'ready' } },
  { status: z.string() },
);
