import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { jsonIn } from '../../base/exact-json.ts';
import { systemCodeOf } from '../../base/system-error.ts';
import { usageError } from '../terminal/errors.ts';

export const allowListName = '.grantry-scan.json';

const entry = z.strictObject({
  /** The file of the finding, relative to the list. */
  file: z.string().min(1),
  /** The hashes of findings, as `--json` prints them. */
  sha256: z.array(z.string().regex(/^[0-9a-f]{64}$/)).min(1),
  reason: z.string().trim().min(10),
  /** The first day on which the finding counts again. */
  expires: z.iso.date(),
});
const list = z.strictObject({ allowed: z.array(entry) });

export type Allowance = z.infer<typeof entry>;

/** Findings that a person has looked at, each in one file and until a day. */
export class AllowList {
  readonly #living: ReadonlySet<string>;
  /** Entries that no longer allow anything. */
  readonly expired: readonly Allowance[];

  /** @param now the time in milliseconds since 1970 */
  constructor(entries: readonly Allowance[], now: number) {
    const isExpired = ({ expires }: Allowance): boolean => Date.parse(expires) <= now;
    this.expired = entries.filter(isExpired);
    const living = entries.filter((each) => !isExpired(each));
    this.#living = new Set(living.flatMap(({ file, sha256 }) => sha256.map((each) => keyOf({ file, sha256: each }))));
  }

  /** True for a finding that an entry allows today. */
  allows(finding: { readonly file: string; readonly sha256: string }): boolean {
    return this.#living.has(keyOf(finding));
  }
}

/** Reads the list of a directory; it is empty where there is none. @throws {GrantryError} `invalid_request` */
export async function readAllowList(root: string, now: number): Promise<AllowList> {
  const text = await readFile(join(root, allowListName), 'utf8').catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return '{"allowed":[]}';
    throw error;
  });
  const parsed = list.safeParse(jsonIn(text));
  if (parsed.success) return new AllowList(parsed.data.allowed, now);
  const { path = [] } = parsed.error.issues[0] ?? {};
  throw usageError(
    `${allowListName} has a mistake${path.length === 0 ? '' : ` at ${path.join('.')}`}.`,
    'Write {"allowed": […]}; each entry has file, sha256 (a list), reason (10 characters or more) and expires (YYYY-MM-DD).',
  );
}

function keyOf({ file, sha256 }: { readonly file: string; readonly sha256: string }): string {
  return `${sha256} ${file}`;
}
