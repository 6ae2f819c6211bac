/** Every secret of a run, and where it was found: in any of the forms that a careless program might write it. */

export type SecretKind =
  | 'access token'
  | 'refresh token'
  | 'authorization code'
  | 'code verifier'
  | 'state'
  | 'client secret'
  | 'root key'
  | 'tenant key'
  | 'API key'
  | 'connect link'
  | 'browser cookie'
  | 'completion code';

interface Needle {
  readonly kind: SecretKind;
  readonly forms: readonly Form[];
}

interface Form {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Collects secrets while they come into being, and looks for them at the end. */
export class Needles {
  readonly #needles = new Map<string, Needle>();
  readonly #hits = new Map<string, Set<string>>();

  add(kind: SecretKind, secret: string | Buffer | undefined | null): void {
    if (secret === undefined || secret === null || secret.length === 0) return;
    const bytes = Buffer.from(secret);
    // A shorter one could be anywhere by chance.
    if (bytes.length < 16) throw new RangeError(`a ${kind} of ${bytes.length} bytes is no mark`);
    const name = `${kind} ${bytes.toString('hex')}`;
    if (!this.#needles.has(name)) this.#needles.set(name, { kind, forms: formsOf(bytes) });
  }

  count(kind: SecretKind): number {
    return [...this.#needles.values()].filter((needle) => needle.kind === kind).length;
  }

  /** Looks for all of them in what came out somewhere. */
  search(sink: string, content: string | Buffer): void {
    const haystack = Buffer.from(content);
    for (const { kind, forms } of this.#needles.values()) {
      const found = forms.find(({ bytes }) => haystack.includes(bytes));
      if (found === undefined) continue;
      const hit = `${kind} in ${sink}`;
      this.#hits.set(hit, (this.#hits.get(hit) ?? new Set()).add(found.name));
    }
  }

  /** Such as `access token in GET …/token`, in order; never the secret. */
  get hits(): readonly string[] {
    return [...this.#hits.keys()].sort();
  }
}

/** Raw, base64 at each of its three alignments, base64url, hex, and as URLs and JSON escape it. */
function formsOf(secret: Buffer): readonly Form[] {
  const text = secret.toString('utf8');
  const isText = Buffer.from(text).equals(secret);
  const forms: Form[] = [
    { name: 'raw', bytes: secret },
    { name: 'hex', bytes: Buffer.from(secret.toString('hex')) },
    { name: 'HEX', bytes: Buffer.from(secret.toString('hex').toUpperCase()) },
  ];
  for (const shift of [0, 1, 2]) {
    // What surrounds it changes the first and the last characters: those are left out.
    const skipped = shift === 0 ? 0 : 4;
    const encoded = Buffer.concat([Buffer.alloc(shift), secret])
      .toString('base64')
      .replaceAll('=', '');
    const middle = encoded.slice(skipped, -2);
    forms.push({ name: `base64+${shift}`, bytes: Buffer.from(middle) });
    forms.push({ name: `base64url+${shift}`, bytes: Buffer.from(middle.replaceAll('+', '-').replaceAll('/', '_')) });
  }
  if (!isText) return forms;
  const escaped = [...secret].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const unicode = Array.from(text, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  return [
    ...forms,
    { name: 'URL', bytes: Buffer.from(encodeURIComponent(text)) },
    { name: 'percent', bytes: Buffer.from(escaped) },
    { name: 'PERCENT', bytes: Buffer.from(escaped.toUpperCase()) },
    { name: 'JSON', bytes: Buffer.from(JSON.stringify(text).slice(1, -1)) },
    { name: 'unicode', bytes: Buffer.from(unicode) },
  ];
}
