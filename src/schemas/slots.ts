import { z } from 'zod';
import { items } from './page.ts';
import { keyShape, thing, time } from './thing.ts';

const example = {
  app: 'zoho-eu',
  provider: 'zoho_crm',
  user: '50000000001',
  dc: 'eu',
  tokens: 16,
  up_to: 17,
  max: 20,
  filling: true,
  next: { tenant: 'acme', provider: 'zoho_crm', account: 'default' },
  next_consented_at: '2026-03-02T14:05:40.000Z',
};

export const slotsSchema = thing(
  {
    id: 'Slots',
    description:
      'The refresh tokens of one user of the provider with one client registration, where the provider keeps a limited ' +
      'number and ends the oldest at the next consent.',
    example,
  },
  {
    app: z.string(),
    provider: z.string(),
    /** The user, as the provider names it; `null` for all consents whose user the provider did not name. */
    user: z.string().nullable().meta({
      description: "The provider's user id, or a fingerprint of it; `null` for consents whose user was not named.",
    }),
    dc: z.string().nullable(),
    /** Tokens that may be alive: of grants, of consents that wait, and those that were not revoked yet. */
    tokens: z.int().meta({
      description: 'Tokens that may be alive: of grants, of consents that wait, and those that were not revoked yet.',
    }),
    /** The same with the consents whose user was not named: each may be of this user. */
    upTo: z.int().meta({ description: 'The same with consents whose user was not named: each may be of this user.' }),
    /** The number that the provider keeps. */
    max: z.int().meta({ description: 'The number that the provider keeps.' }),
    /** True from three quarters of `max` on. */
    filling: z.boolean().meta({ description: '`true` from three quarters of `max` on.' }),
    /** The grant with the oldest consent: it ends first. `null` if the oldest token is no grant's. */
    next: z.object(keyShape).nullable().meta({
      description: 'The grant of the oldest consent: it ends first. `null` if the oldest token is no grant’s.',
    }),
    nextConsentedAt: time.nullable(),
  },
);

/** The refresh tokens of one user with one client registration, where the provider keeps a limited number. */
export interface Slots extends Readonly<z.output<typeof slotsSchema>> {}

export const slotsListSchema = items(
  'SlotsList',
  'The users with most refresh tokens first; empty where the provider states no limit.',
  slotsSchema,
  example,
);
