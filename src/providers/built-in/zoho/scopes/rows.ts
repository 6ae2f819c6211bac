import type { ScopeEntry } from '../../../definition.ts';

/** One family of scopes, such as `ZohoCRM.modules.leads`, with the operations that it has. */
export interface ScopeFamily {
  /** The name without its operation, `leads` or `modules.leads`; the prefix of the table stands before it. */
  readonly name: string;
  /** The things, as a person names them: "leads". */
  readonly things: string;
  /** The operations as the provider spells them, with a space between: `READ CREATE ALL`. */
  readonly operations: string;
  /** The task that needs these scopes, if the words do not say it. */
  readonly when?: string;
  /** The operations that reach further than a program usually needs, as in `operations`. */
  readonly broad?: string;
  /** The whole prefix, for a family that does not have the prefix of the table. */
  readonly prefix?: string;
}

/** The verb of each operation, for the words of a scope. */
const verbs: Readonly<Record<string, string>> = {
  all: 'Do everything with',
  read: 'Read',
  create: 'Create',
  update: 'Change',
  delete: 'Delete',
  write: 'Create, change and delete',
  execute: 'Run',
  custom: 'Run special actions on',
  'create-update': 'Create and change',
};

/** Expands families of scopes to one entry per operation. */
export function rows(prefix: string, families: readonly ScopeFamily[]): readonly ScopeEntry[] {
  return families.flatMap((family) => {
    const broad = new Set((family.broad ?? '').split(' '));
    return family.operations.split(' ').map((operation) => ({
      name: `${family.prefix ?? prefix}.${family.name}.${operation}`,
      words: `${verbs[operation.toLowerCase()] ?? operation} ${family.things}`,
      ...(family.when === undefined ? {} : { when: family.when }),
      ...(broad.has(operation) ? { broad: true } : {}),
    }));
  });
}

/** All operations of most families. */
export const all = 'ALL READ CREATE UPDATE DELETE';
