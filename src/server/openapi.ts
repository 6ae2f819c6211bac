import { z } from 'zod';
import type { AnswerShape, RouteShape } from './route.ts';
import { problemSchema } from './schemas.ts';

type Json = Record<string, unknown>;

/** A route as it is described: `open` ones take no API key in their header. */
export type DescribedRoute = Omit<RouteShape, 'action'> & {
  readonly action: RouteShape['action'] | 'open';
};

/** What the description of a server is made of besides the routes. */
export interface DescriptionOptions {
  readonly version: string;
  readonly publicUrl: string;
}

/** The routes as an OpenAPI 3.1 document; it is made of the shapes that the routes parse with. */
export function describeRoutes(routes: readonly DescribedRoute[], options: DescriptionOptions): Json {
  const schemas = new Map<string, Json>();
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replaceAll('{path…}', '{path}');
    paths[path] = { ...paths[path], [route.method]: operation(route, schemas) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Grantry', version: options.version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: options.publicUrl }],
    security: [{ apiKey: [] }],
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key: gry_…' } },
      responses: {
        Problem: {
          description: 'An error (RFC 9457)',
          content: { 'application/problem+json': { schema: refer(problemSchema, schemas) } },
        },
      },
      schemas: Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

function operation(route: DescribedRoute, schemas: Map<string, Json>): Json {
  const body = route.streamed ?? { contentType: 'application/json', schema: route.body };
  const parameters = [
    ...parametersOf(route.params, 'path'),
    ...parametersOf(route.query, 'query'),
    ...parametersOf(route.headers, 'header'),
  ];
  const answers = Object.entries(route.answers).map(([status, answer]) => [status, answerOf(answer, schemas)]);
  return {
    operationId: operationId(route),
    summary: route.summary,
    tags: [route.tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body.schema === undefined
      ? {}
      : { requestBody: { required: true, content: { [body.contentType]: { schema: refer(body.schema, schemas) } } } }),
    responses: { ...Object.fromEntries(answers), default: { $ref: '#/components/responses/Problem' } },
    ...(route.action === 'open' ? { security: [] } : { 'x-grantry-action': route.action }),
  };
}

function answerOf({ description, schema, contentType }: AnswerShape, schemas: Map<string, Json>): Json {
  if (schema === undefined) return { description };
  return { description, content: { [contentType ?? 'application/json']: { schema: refer(schema, schemas) } } };
}

function parametersOf(shape: z.ZodObject | undefined, place: 'path' | 'query' | 'header'): Json[] {
  if (shape === undefined) return [];
  return Object.entries(shape.shape).map(([name, field]) => {
    const schema = toJson(field);
    const { description } = schema;
    delete schema['description'];
    const required = place === 'path' || !isOptional(field);
    return { name, in: place, required, ...(description === undefined ? {} : { description }), schema };
  });
}

function isOptional(field: unknown): boolean {
  return field instanceof z.ZodOptional;
}

/** A schema with a name stands among the components; everything it is made of does, too. */
function refer(schema: z.ZodType, schemas: Map<string, Json>): Json {
  const json = toJson(schema);
  const definitions = json['$defs'];
  delete json['$defs'];
  if (typeof definitions === 'object' && definitions !== null) {
    for (const [name, definition] of Object.entries(definitions)) schemas.set(name, moved(definition));
  }
  const { id } = schema.meta() ?? {};
  if (typeof id !== 'string') return moved(json);
  schemas.set(id, moved(json));
  return { $ref: `#/components/schemas/${id}` };
}

function toJson(schema: unknown): Json {
  if (!(schema instanceof z.ZodType)) throw new TypeError('A route is described by zod schemas.');
  const json: Json = { ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) };
  delete json['$schema'];
  return json;
}

/** References within one schema, as references within the document. */
function moved(json: unknown): Json {
  const text = JSON.stringify(json).replaceAll('"#/$defs/', '"#/components/schemas/');
  const parsed: Json = JSON.parse(text);
  delete parsed['id'];
  return parsed;
}

function operationId({ method, path }: DescribedRoute): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && word !== 'v1');
  return [method, ...words]
    .map((word, index) => (index === 0 ? word : word[0]?.toUpperCase() + word.slice(1)))
    .join('');
}
