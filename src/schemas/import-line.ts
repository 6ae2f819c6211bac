import { z } from 'zod';
import { limits } from '../base/limits.ts';
import { differs, storeResult, tokensInputExample, tokensInputNames, tokensInputShape } from './grant.ts';
import { accountField, keyText, list, providerField, secret, tenantField, thing } from './thing.ts';

export const importLineSchema = thing(
  {
    id: 'ImportLine',
    description: 'One line of an import: the tokens of one grant.',
    example: { tenant: 'acme', provider: 'zoho_crm', ...tokensInputExample },
    strict: true,
  },
  {
    tenant: tenantField,
    provider: providerField,
    account: accountField.optional(),
    ...tokensInputShape,
    clientId: z.string().min(1).max(limits.clientIdCharsMax).optional().meta({
      description:
        'The client of the app. If there is no such app, one is made: `app`, or `TENANT-PROVIDER` for this tenant only.',
    }),
    clientSecret: secret(limits.clientSecretCharsMax)
      .optional()
      .meta({ description: 'The secret of that client. A stored one that differs stays, unless `replace` is true.' }),
    /** The grant does not get them. */
    appScopes: tokensInputShape.scopes.meta({
      description:
        'The scopes, separated by spaces, that the app of the client asks for if it is new or has none; without it ' +
        'those of `scope`. The grant does not get them.',
    }),
    /** Stores nothing, and tells what would happen. */
    dryRun: z.boolean().optional().meta({ description: 'True stores nothing, and tells what would happen.' }),
  },
  { names: tokensInputNames },
);

export const importResultSchema = thing(
  {
    id: 'ImportResult',
    description: 'The result of one line of an import.',
    example: { line: 1, tenant: 'acme', provider: 'zoho_crm', account: 'default', status: 201, result: 'imported' },
  },
  {
    line: z.int(),
    tenant: z.string().optional(),
    provider: z.string().optional(),
    account: z.string().optional(),
    /** 201 for a new grant, 200 for an existing one, else the status of the error. */
    status: z
      .int()
      .meta({ description: '201 for a new grant, 200 for an existing one, else the status of the error.' }),
    result: storeResult.optional(),
    differs: differs.optional(),
    /** Other grants that hold the same refresh token. */
    sharedWith: list(keyText).optional().meta({ description: 'Other grants that hold the same refresh token.' }),
    /** The scopes that the app of the line gets, which had none. */
    appScopes: list(z.string())
      .optional()
      .meta({ description: 'The scopes that the app of the line gets, which had none.' }),
    code: z.string().optional(),
    detail: z.string().optional(),
    action: z.string().optional(),
  },
);

/** The result of one line of an import. */
export interface ImportResult extends Readonly<z.output<typeof importResultSchema>> {}
