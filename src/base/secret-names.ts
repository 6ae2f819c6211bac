/**
 * Names of secrets, without separators and in lower case. A token's type, life or address is no secret: QuickBooks answers
 * with `x_refresh_token_expires_in`.
 */
const secretName =
  /secret|passw(?:or)?d|passphrase|credential|cookie|bearer|jwt|assertion|(?:api|access|private|signing|encryption)key|authori[sz]ation(?!endpoint|server|ur[il]|id$)|token(?!s?(?:type|expir|lifetime|ttl|ur[il]|endpoint|count|limit|issuedat))/;

const codeName = /^(?:auth|authori[sz]ation|device|user|login)?code$|codeverifier|^code(?:challenge)?$/;

/** Deeper values are refused elsewhere. */
const depthMax = 32;

/** Tells whether a member with this name holds a secret, in any spelling: `refresh_token`, `apiKey`, `X-Authorization`. */
export function isSecretName(name: string): boolean {
  return secretName.test(squeezed(name));
}

/** As {@link isSecretName}, for what a provider sends: a code is a secret there, and the name may be a path. */
export function isSecretInAnswer(name: string): boolean {
  return name.split(/[/.]/).some((part) => isSecretName(part) || codeName.test(squeezed(part)));
}

/** Finds the first member, at any depth, that its name calls a secret; returns its path. */
export function findSecretName(value: unknown, path: readonly string[] = []): string | null {
  if (typeof value !== 'object' || value === null || path.length >= depthMax) return null;
  for (const [name, member] of entriesOf(value)) {
    const here = [...path, name];
    if (isSecretName(name)) return here.join('.');
    const found = findSecretName(member, here);
    if (found !== null) return found;
  }
  return null;
}

/** Lists the texts, at any depth, of members that are secrets in an answer. */
export function secretTexts(value: unknown, isSecret = false, depth = 0): string[] {
  if (typeof value === 'string') return isSecret && value !== '' ? [value] : [];
  if (typeof value !== 'object' || value === null || depth >= depthMax) return [];
  return entriesOf(value).flatMap(([name, member]) =>
    secretTexts(member, isSecret || isSecretInAnswer(name), depth + 1),
  );
}

/** A shorter secret may be part of any word, so only an equal text counts for it. */
const partCharsMin = 8;

/** Tells whether a text is one of the secrets, or contains one, as it is or percent-encoded. */
export function holdsSecret(text: string, secrets: Iterable<string>): boolean {
  for (const secret of secrets) {
    if (text === secret) return true;
    if (secret.length < partCharsMin) continue;
    if (text.includes(secret) || text.includes(encodeURIComponent(secret.toWellFormed()))) return true;
  }
  return false;
}

function entriesOf(value: object): [string, unknown][] {
  if (value instanceof Map) return [...value].map(([name, member]) => [String(name), member]);
  return Object.entries(value);
}

function squeezed(name: string): string {
  return name.replaceAll(/[^\p{L}\p{N}]/gu, '').toLowerCase();
}
