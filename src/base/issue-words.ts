/** The part of an issue of the schemas that its words are made of. */
export interface Issue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly expected?: unknown;
  readonly values?: readonly unknown[] | undefined;
  readonly maximum?: unknown;
  readonly minimum?: unknown;
  /** The issues of each form of a union. */
  readonly errors?: readonly (readonly Issue[])[] | undefined;
}

/** The kinds of the schemas in the words of a reader who knows JSON. */
const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  map: 'an object',
  array: 'a list',
  tuple: 'a list',
  set: 'a list',
  date: 'a time',
  null: 'null',
  undefined: 'left out',
  never: 'left out',
};

/** Says in one clause what is wrong with a part of a value. It never repeats the part: it may be a secret. */
export function issueWords(issue: Issue, value: unknown): string {
  if (issue.code === 'invalid_type') {
    const kind = kinds[String(issue.expected)];
    if (isAbsent(value, issue.path)) return kind === undefined ? 'it is missing' : `it is missing, and must be ${kind}`;
    return kind === undefined ? formless : `it must be ${kind}`;
  }
  if (isAbsent(value, issue.path)) return 'it is missing';
  if (issue.code === 'invalid_union') return unionWords(issue.errors ?? []);
  if (issue.code === 'invalid_value') return `it must be one of ${(issue.values ?? []).map(String).join(', ')}`;
  if (issue.code === 'too_big') return `it is larger than ${String(issue.maximum)}`;
  if (issue.code === 'too_small') return `it is smaller than ${String(issue.minimum)}`;
  return formless;
}

/** Names every form that a union takes, unless one of them cannot be said in a few words. */
function unionWords(branches: readonly (readonly Issue[])[]): string {
  const forms = branches.map((issues) => {
    const own = issues.find(({ path }) => path.length === 0);
    // The part itself is not needed: no form of a union that is there is absent.
    const words = own === undefined ? formless : issueWords(own, null);
    return /^it must be (?:one of )?(.*)$/.exec(words)?.[1];
  });
  return forms.length === 0 || forms.includes(undefined) ? formless : `it must be ${[...new Set(forms)].join(', or ')}`;
}

const formless = 'it does not have the right form';

/** True if a value has no member at a path. A list of issues does not tell absent from wrong. */
function isAbsent(value: unknown, path: readonly PropertyKey[]): boolean {
  let part = value;
  for (const name of path) {
    if (typeof part !== 'object' || part === null) return false;
    part = Reflect.get(part, name);
  }
  return part === undefined;
}
