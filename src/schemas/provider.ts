import { z } from 'zod';
import { providerDefinition } from '../providers/definition.ts';
import { items } from './page.ts';
import { integrityFailed, thing } from './thing.ts';

const example = { id: 'zoho_crm', name: 'Zoho CRM', built_in: true };

export const providerSummarySchema = thing(
  { id: 'ProviderSummary', description: 'A provider of the catalogue.', example },
  { id: z.string(), name: z.string(), builtIn: z.boolean(), integrityFailed },
);

/** A provider of the catalogue. */
export interface ProviderSummary extends Readonly<z.output<typeof providerSummarySchema>> {}

export const providerListSchema = items(
  'ProviderList',
  'All providers, built-in and custom.',
  providerSummarySchema,
  example,
);

/** Describes a definition. `parseProviderDefinition` reads one, with messages that name the member. */
export const definitionSchema = providerDefinition.meta({
  id: 'ProviderDefinition',
  description: 'A provider as data. Only `id`, `api.hosts` and either `endpoints.token` or `issuer` are required.',
  examples: [
    {
      id: 'example',
      endpoints: { authorization: 'https://as.example/authorize', token: 'https://as.example/token' },
      api: { hosts: ['https://api.example'] },
    },
  ],
});

/** A definition as it is written: whole, or with the id of a built-in provider that it extends. */
export const writtenDefinitionSchema = z.union([
  definitionSchema,
  z
    .looseObject({
      id: z.string(),
      extends: z.string().meta({ description: 'The id of a built-in provider.' }),
      api: z.looseObject({}).optional(),
    })
    .meta({
      id: 'ExtendingProviderDefinition',
      description:
        'A provider as the difference from a built-in one. Members replace those of the built-in provider as a whole, and in `api` one by one.',
      examples: [{ id: 'zoho_acme', extends: 'zoho', tokenLimit: { requests: 5, windowSeconds: 600 } }],
    }),
]);
