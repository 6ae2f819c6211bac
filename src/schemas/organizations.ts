import { z } from 'zod';
import { keyShape, keyText, list, thing } from './thing.ts';

const key = { tenant: 'acme', provider: 'zoho_books', account: 'default' };

const item = { id: '20071234567', name: 'Acme Ltd', chosen: true, default: true };

const organization = thing(
  { id: 'Organization', description: 'One organisation of the user who gave the consent.', example: item },
  {
    id: z.string(),
    name: z.string().nullable(),
    /** True for the grant's own: calls that name none go there. */
    chosen: z.boolean().meta({ description: "True for the grant's own: calls that name none go there." }),
    /** True if the provider says that it counts unless a call names another. */
    default: z.boolean().meta({ description: 'True if the provider says that it counts unless a call names another.' }),
  },
);

/** One organisation of the user who gave the consent. */
export interface Organization extends Readonly<z.output<typeof organization>> {}

export const organizationsSchema = thing(
  {
    id: 'Organizations',
    description: 'The organisations that the token of a grant reaches.',
    example: { ...key, items: [item], member: 'org_id', shared_with: [] },
  },
  {
    ...keyShape,
    items: list(organization),
    /** The member of the grant's metadata with the id of the chosen one. */
    member: z.string().meta({ description: "The member of the grant's metadata with the id of the chosen one." }),
    /** Living grants of other tenants in the organisation, at all providers that name it by the same kind of id. */
    sharedWith: list(keyText).meta({
      description:
        'Living grants of other tenants in the chosen organisation, as far as the key may see them, each as ' +
        'TENANT/PROVIDER/ACCOUNT.',
    }),
  },
);

/** The organisations that the token of a grant reaches. */
export interface Organizations extends Readonly<z.output<typeof organizationsSchema>> {}
