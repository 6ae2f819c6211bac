import { z } from 'zod';
import { tokensInputExample, tokensInputNames, tokensInputShape } from './grant.ts';
import { accountField, keyText, list, providerField, tenantField, thing } from './thing.ts';

export const importLineSchema = thing(
  {
    id: 'ImportLine',
    description: 'One line of an import: the tokens of one grant.',
    example: { tenant: 'acme', provider: 'zoho_crm', ...tokensInputExample },
    strict: true,
  },
  { tenant: tenantField, provider: providerField, account: accountField.optional(), ...tokensInputShape },
  { names: tokensInputNames },
);

export const importResultSchema = thing(
  {
    id: 'ImportResult',
    description: 'The result of one line of an import.',
    example: { line: 1, tenant: 'acme', provider: 'zoho_crm', account: 'default', status: 201 },
  },
  {
    line: z.int(),
    tenant: z.string().optional(),
    provider: z.string().optional(),
    account: z.string().optional(),
    /** 201 for a new grant, 200 for a replaced one, else the status of the error. */
    status: z.int().meta({ description: '201 for a new grant, 200 for a replaced one, else the status of the error.' }),
    /** Other grants that hold the same refresh token. */
    sharedWith: list(keyText).optional().meta({ description: 'Other grants that hold the same refresh token.' }),
    code: z.string().optional(),
    detail: z.string().optional(),
    action: z.string().optional(),
  },
);

/** The result of one line of an import. */
export interface ImportResult extends Readonly<z.output<typeof importResultSchema>> {}
