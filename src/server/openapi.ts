import { z } from 'zod';
import { problemSchema } from '../schemas/problem.ts';
import type { AnswerShape, RouteShape } from './route.ts';

type Json = Record<string, unknown>;

/** A route as it is described: `open` ones take no API key in their header. */
export type DescribedRoute = Omit<RouteShape, 'action'> & {
  readonly action: RouteShape['action'] | 'open';
};

/** The parts of a server's description besides its routes. */
export interface DescriptionOptions {
  readonly version: string;
  readonly publicUrl: string;
}

/** Describes the routes as an OpenAPI 3.1 document, from the schemas that the routes parse with. */
export function describeRoutes(routes: readonly DescribedRoute[], options: DescriptionOptions): Json {
  const schemas = new Map<string, Json>();
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replaceAll('{path…}', '{path}');
    paths[path] = { ...paths[path], [route.method]: operation(route, schemas) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Grantry',
      version: options.version,
      description: 'An OAuth grant vault. Errors are `application/problem+json` (RFC 9457); decide by their `code`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: options.publicUrl }],
    security: [{ apiKey: [] }],
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key: `gry_…`.' } },
      responses: {
        Problem: {
          description: 'An error (RFC 9457).',
          content: { 'application/problem+json': { schema: describe(problemSchema, schemas) } },
        },
      },
      schemas: Object.fromEntries([...schemas].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

function operation(route: DescribedRoute, schemas: Map<string, Json>): Json {
  const body = route.ownBody ?? { contentType: 'application/json', schema: route.body };
  const parameters = [
    ...parametersOf(route.params, 'path'),
    ...parametersOf(route.query, 'query'),
    ...parametersOf(route.headers, 'header'),
  ];
  const answers = Object.entries(route.answers).map(([status, answer]) => [status, answerOf(answer, schemas)]);
  return {
    operationId: operationId(route),
    summary: route.summary,
    description: route.description,
    tags: [route.tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body.schema === undefined
      ? {}
      : { requestBody: { required: true, content: contentOf(body.schema, body.contentType, schemas) } }),
    responses: { ...Object.fromEntries(answers), default: { $ref: '#/components/responses/Problem' } },
    ...(route.action === 'open' ? { security: [] } : { 'x-grantry-action': route.action }),
  };
}

function answerOf({ description, schema, contentType, headers = {} }: AnswerShape, schemas: Map<string, Json>): Json {
  const described = Object.entries(headers).map(([name, text]) => [
    name,
    { description: text, schema: { type: 'string' } },
  ]);
  return {
    description,
    ...(described.length === 0 ? {} : { headers: Object.fromEntries(described) }),
    ...(schema === undefined ? {} : { content: contentOf(schema, contentType ?? 'application/json', schemas) }),
  };
}

/** A body with the example of its schema, where one is given. */
function contentOf(schema: z.ZodType, contentType: string, schemas: Map<string, Json>): Json {
  const [example] = examplesOf(schema);
  return {
    [contentType]: { schema: describe(schema, schemas), ...(example === undefined ? {} : { example }) },
  };
}

function parametersOf(shape: z.ZodObject | undefined, place: 'path' | 'query' | 'header'): Json[] {
  if (shape === undefined) return [];
  return Object.entries(shape.shape).map(([name, field]) => {
    const { description, examples, ...schema } = describe(z.custom<z.ZodType>().parse(field), new Map());
    const example = Array.isArray(examples) ? { example: examples[0] } : {};
    const required = place === 'path' || !(field instanceof z.ZodOptional);
    return { name, in: place, required, description, schema, ...example };
  });
}

/** The JSON Schema of a body or a parameter. Schemas with a name are added to the components and referred to. */
function describe(schema: z.ZodType, schemas: Map<string, Json>): Json {
  const {
    $defs = {},
    $schema: _dialect,
    ...json
  } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // zod drops the examples of what it transforms: they could be of either side. These are of the JSON side.
      const examples = examplesOf(zodSchema);
      if (examples.length > 0) jsonSchema.examples = examples;
      delete jsonSchema.id;
      removeNoise(jsonSchema);
    },
  });
  for (const [name, definition] of Object.entries($defs)) schemas.set(name, withinDocument(definition));
  return withinDocument(json);
}

/** Removes what zod adds and no reader needs: the pattern of a known format, and the limits of every JSON integer. */
function removeNoise(schema: z.core.JSONSchema.BaseSchema): void {
  if (schema.format === 'date-time' || schema.type === 'integer') delete schema.pattern;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  delete schema.propertyNames;
  // Generators take a member with a default for one that every request has.
  delete schema.default;
}

function examplesOf(schema: z.core.$ZodType): unknown[] {
  const examples = z.globalRegistry.get(schema)?.['examples'];
  return Array.isArray(examples) ? examples : [];
}

/** Turns references within one schema into references within the document. */
function withinDocument(json: unknown): Json {
  const parsed: Json = JSON.parse(JSON.stringify(json).replaceAll('"#/$defs/', '"#/components/schemas/'));
  return parsed;
}

function operationId({ method, path }: DescribedRoute): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && word !== 'v1');
  return [method, ...words]
    .map((word, index) => (index === 0 ? word : word[0]?.toUpperCase() + word.slice(1)))
    .join('');
}
