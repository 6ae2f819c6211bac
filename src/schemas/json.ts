import { defaultAccount, type GrantKey } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';

export type SnakeCase<Name> = Name extends `${infer Head}${infer Tail}`
  ? Head extends Lowercase<Head>
    ? `${Head}${SnakeCase<Tail>}`
    : `_${Lowercase<Head>}${SnakeCase<Tail>}`
  : '';

type JsonValue<Value> = Value extends Date ? string : Value;

/** The JSON form of a thing: names in snake case, times as ISO 8601 text. */
export type Json<Thing> = { [Name in keyof Thing as SnakeCase<Name>]: JsonValue<Thing[Name]> };

/**
 * Writes a thing in the JSON form that its schema describes. Only the thing's own members are renamed, never those of its
 * metadata. Members that are undefined are left out.
 *
 * Plain code, so that a program that prints one grant does not load zod.
 *
 * @param reveal writes secrets; without it a secret is written as `[secret]`
 */
export function toJson<Thing extends object>(thing: Thing, reveal?: (secret: Secret) => string): Json<Thing> {
  const write = (value: unknown): unknown => {
    if (value instanceof Date) return value.toISOString();
    return value instanceof Secret && reveal !== undefined ? reveal(value) : value;
  };
  const members = Object.entries(thing)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [snakeCase(name), write(value)]);
  // Each member was renamed and written as the type says.
  return Object.fromEntries(members) as Json<Thing>;
}

/** Names one grant in a text: TENANT/PROVIDER/ACCOUNT. */
export function writeKey(key: GrantKey): string {
  return `${key.tenant}/${key.provider}/${key.account ?? defaultAccount}`;
}

export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
