import { z } from 'zod';
import { scopeFindingKinds, scopeFindingLevels } from '../providers/scope-lint.ts';
import { list, thing } from './thing.ts';

export const scopeFindingSchema = thing(
  {
    id: 'ScopeFinding',
    description: 'Something about a scope that a person should know.',
    example: {
      scope: 'ZohoCRM.modles.ALL',
      kind: 'misspelt',
      level: 'warning',
      message: 'ZohoCRM.modles.ALL is not known. Did you mean ZohoCRM.modules.ALL?',
      suggestion: 'ZohoCRM.modules.ALL',
    },
  },
  {
    scope: z.string(),
    kind: z.enum(scopeFindingKinds),
    level: z.enum(scopeFindingLevels).meta({
      description: '`error`: refused. `warning`: a person should look. `hint`: good to know.',
    }),
    message: z.string(),
    /** A scope to use instead. */
    suggestion: z.string().optional().meta({ description: 'A scope to use instead.' }),
  },
);

/** The findings about scopes; empty when nothing was noticed. */
export const scopeWarnings = list(scopeFindingSchema).meta({
  description: 'What was noticed about the scopes; they were accepted all the same. Empty when nothing was.',
});
