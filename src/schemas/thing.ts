import { z } from 'zod';
import { namePattern, providerPattern } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import { type SnakeCase, snakeCase } from './json.ts';

/** The description of a thing in the OpenAPI document. */
export interface About {
  readonly id: string;
  readonly description: string;
  /** In the JSON form. */
  readonly example: Readonly<Record<string, unknown>>;
  /** Refuses unknown members; for what callers send. */
  readonly strict?: boolean;
}

/** A schema that reads the JSON form of a thing and gives the library's form of it. */
export type Thing<Value, Input = unknown> = z.ZodType<Value, Input>;

type Renamed<Shape, Names> = {
  [Name in keyof Shape & string as Name extends keyof Names ? Names[Name] & string : SnakeCase<Name>]: Extract<
    Shape[Name],
    z.core.$ZodType
  >;
};

type JsonOf<Shape extends z.ZodRawShape, Names, JsonOnly extends z.ZodRawShape> = z.input<
  z.ZodObject<Renamed<Shape, Names> & JsonOnly>
>;

/**
 * Describes a thing once: its shape has the library's names and types, and the JSON form follows from it. The result
 * parses the JSON form; `toJson` writes it.
 *
 * @param differences `names` are JSON names that are not the library's name in snake case; `jsonOnly` are members that
 * only the JSON form has.
 */
export function thing<
  Shape extends z.ZodRawShape,
  const Names extends object = object,
  JsonOnly extends z.ZodRawShape = Readonly<Record<never, z.core.$ZodType>>,
>(
  about: About,
  shape: Shape,
  differences: {
    readonly names?: Names & Readonly<Partial<Record<keyof Shape & string, string>>>;
    readonly jsonOnly?: JsonOnly;
  } = {},
): Thing<z.output<z.ZodObject<Shape>>, JsonOf<Shape, Names, JsonOnly>> {
  const renamed = new Map(Object.entries<string | undefined>(differences.names ?? {}));
  const pairs = Object.entries(shape).map(
    ([name, field]) => [name, renamed.get(name) ?? snakeCase(name), field] as const,
  );
  const json = {
    ...Object.fromEntries(pairs.map(([, jsonName, field]) => [jsonName, field])),
    ...differences.jsonOnly,
  };
  const schema = (about.strict === true ? z.strictObject(json) : z.object(json))
    .transform((parsed) =>
      Object.fromEntries(
        pairs.map(([name, jsonName]) => [name, parsed[jsonName]]).filter(([, value]) => value !== undefined),
      ),
    )
    .meta({ id: about.id, description: about.description, examples: [about.example] });
  // Each member is parsed by the field that the shape has under this name, and read from the JSON name of the type.
  return schema as unknown as Thing<z.output<z.ZodObject<Shape>>, JsonOf<Shape, Names, JsonOnly>>;
}

/** A list that the library gives or takes as read-only. */
export function list<Item extends z.ZodType>(
  item: Item,
  most?: number,
): z.ZodType<readonly z.output<Item>[], readonly z.input<Item>[]> {
  return most === undefined ? z.array(item) : z.array(item).max(most);
}

export const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

/** A mark in lists. A marked entry shows its name, and nothing else that the row claims. */
export const integrityFailed = z.literal(true).optional().meta({
  description: 'The stored row was altered outside of Grantry. It is not used, and only its name is shown.',
});

/** A secret on its way in: text in JSON, and either text or a {@link Secret} in the library. */
export function secret(charsMax: number): z.ZodType<string | Secret, string> {
  return z.string().min(1).max(charsMax);
}

/** Seconds as a number. */
export const seconds = z.number().min(0).max(limits.minValiditySecondsMax);

const name = z.string().regex(namePattern);
const names = '1 to 128 of a-z A-Z 0-9 . _ @ : - starting with a letter or digit.';

/** A name of no particular kind, such as a key's. */
export const nameField = name.meta({ description: names, examples: ['billing'] });
export const tenantField = name.meta({ description: `The tenant's name: ${names}`, examples: ['acme'] });
export const accountField = name.meta({
  description: 'The account, when the tenant has several at this provider; `default` when left out.',
  examples: ['default'],
});
export const appField = name.meta({ description: `The app's name: ${names}`, examples: ['zoho-eu'] });
export const providerField = z
  .string()
  .regex(providerPattern)
  .meta({ description: 'The provider id: 1 to 64 of a-z 0-9 _ -.', examples: ['zoho_crm'] });

export const scopesInput = list(z.string().max(limits.scopeCharsMax), limits.scopesMax);

/** Owner of a thing, in the names that every report uses. */
export const keyShape = { tenant: z.string(), provider: z.string(), account: z.string() };

/** The text `TENANT/PROVIDER/ACCOUNT`, which names one grant. */
export const keyText = z
  .string()
  .regex(/^[^/]+\/[^/]+\/[^/]+$/)
  .transform((text) => {
    const [tenant = '', provider = '', account = ''] = text.split('/');
    return { tenant, provider, account };
  });
