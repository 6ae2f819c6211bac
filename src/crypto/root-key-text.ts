import { isUtf8 } from 'node:buffer';

/* The root key's text form is handled as bytes, because a JavaScript string cannot be overwritten. */
export const rootKeyBytes = 32;

const alphabet = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const sextets = sextetsByCharacter();
const notBase64 = 0xff;
const equalsSign = 0x3d;
const lineEnds: ReadonlySet<number> = new Set([0x0a, 0x0d]);

/**
 * Decodes base64 or base64url, with or without padding, followed by line ends only.
 *
 * Returns undefined for anything else, left-over bits included. The caller overwrites the result.
 */
export function decodeKeyText(text: Uint8Array): Buffer | undefined {
  const characters = text.subarray(0, payloadEnd(text));
  if (characters.length === 0 || characters.length % 4 === 1) return undefined;
  const bytes = Buffer.alloc(Math.floor((characters.length * 3) / 4));
  let bits = 0;
  let bitCount = 0;
  let length = 0;
  for (const character of characters) {
    const sextet = sextets[character] ?? notBase64;
    if (sextet === notBase64) return undefined;
    bits = ((bits << 6) | sextet) & 0xfff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[length] = (bits >> bitCount) & 0xff;
      length += 1;
    }
  }
  const leftOver = bits & ((1 << bitCount) - 1);
  return leftOver === 0 ? bytes : undefined;
}

/** Encodes as padded base64 with a line end, as `openssl rand -base64 32` prints it. The caller overwrites the result. */
export function encodeKeyText(key: Uint8Array): Buffer {
  const text = Buffer.alloc(Math.ceil(key.length / 3) * 4 + 1, '=');
  for (let bit = 0, index = 0; bit < key.length * 8; bit += 6, index += 1) {
    const pair = ((key[bit >> 3] ?? 0) << 8) | (key[(bit >> 3) + 1] ?? 0);
    text[index] = alphabet[(pair >> (10 - (bit % 8))) & 0x3f] ?? 0;
  }
  text[text.length - 1] = 0x0a;
  return text;
}

/**
 * Returns the reason why a key of 32 bytes must not be used; undefined when there is none.
 *
 * It detects mistakes such as passphrases, counters and filler. It cannot measure randomness. A random key is refused
 * with a probability below 2^-33.
 */
export function weaknessOf(key: Uint8Array): string | undefined {
  if (key.length !== rootKeyBytes) return `has ${key.length} bytes instead of ${rootKeyBytes}`;
  if (isText(key)) return 'is text: a passphrase or a key that was encoded twice';
  if (new Set(key).size < rootKeyBytes / 2) return 'consists of few different bytes';
  if (repeats(key)) return 'repeats itself';
  if (isSequence(key)) return 'is a sequence of numbers';
  return undefined;
}

function payloadEnd(text: Uint8Array): number {
  let end = text.length;
  while (end > 0 && lineEnds.has(text[end - 1] ?? 0)) end -= 1;
  let padding = 0;
  while (padding < 2 && text[end - 1 - padding] === equalsSign) padding += 1;
  // Padding that does not complete a group of four stays, and is then refused as a character.
  return end % 4 === 0 ? end - padding : end;
}

function isText(key: Uint8Array): boolean {
  return isUtf8(key) && !key.some(isControl);
}

function isControl(byte: number): boolean {
  return (byte < 0x20 && byte !== 0x09 && !lineEnds.has(byte)) || byte === 0x7f;
}

function repeats(key: Uint8Array): boolean {
  for (let period = 1; period <= key.length / 2; period += 1) {
    if (key.every((byte, index) => index < period || byte === key[index - period])) return true;
  }
  return false;
}

function isSequence(key: Uint8Array): boolean {
  const step = (index: number): number => ((key[index] ?? 0) - (key[index - 1] ?? 0)) & 0xff;
  return key.every((_, index) => index < 2 || step(index) === step(1));
}

function sextetsByCharacter(): Uint8Array {
  const table = new Uint8Array(256).fill(0xff);
  for (const [value, character] of alphabet.entries()) table[character] = value;
  table['-'.charCodeAt(0)] = 62;
  table['_'.charCodeAt(0)] = 63;
  return table;
}
