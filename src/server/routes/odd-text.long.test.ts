/** PostgreSQL stores no NUL and no lone surrogate. A caller that sends one anywhere is told so, on both databases alike. */
import { describe, expect, it } from 'vitest';
import { databaseKinds } from '../../../test/support/bench.ts';
import { makeServerBench } from '../../../test/support/server-bench.ts';

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly example?: unknown }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> };
}

/** Each copy of a JSON value in which one text, or one name, has an odd character more. */
function* spoilt(value: unknown, odd: string): Generator {
  if (typeof value === 'string') yield `${value}${odd}`;
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      for (const other of spoilt(item, odd)) yield value.map((each: unknown, index) => (index === at ? other : each));
    }
  } else if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value);
    for (const [name, item] of members) {
      for (const other of spoilt(item, odd)) yield { ...value, [name]: other };
      yield Object.fromEntries(members.map(([each, kept]) => [each === name ? `${each}${odd}` : each, kept]));
    }
    yield { ...value, [`x${odd}`]: 'x' };
  }
}

const odd = [
  ['NUL', '\0'],
  ['a high surrogate', '\ud800'],
  ['a low surrogate', '\udc00'],
] as const;

describe.each(databaseKinds)('on %s', (kind) => {
  it.each(odd)('%s in any text of any route is refused', async (_name, character) => {
    await using server = await makeServerBench({ kind });
    await server.bench.connect(server.vault);
    const document: unknown = (await server.call('GET', '/openapi.json')).body;
    const { paths } = document as { paths: Record<string, Record<string, Operation>> };
    const wrong: string[] = [];
    let sent = 0;
    const send = async (method: string, path: string, body: unknown, allowed: readonly number[]): Promise<void> => {
      sent += 1;
      const { status, body: answer } = await server.call(
        method.toUpperCase(),
        path,
        body === undefined ? {} : { body },
      );
      if (!allowed.includes(status)) wrong.push(`${method} ${path} ${JSON.stringify(body)}: ${status} ${answer.code}`);
    };
    for (const [template, operations] of Object.entries(paths)) {
      if (template.startsWith('/v1/proxy') || !template.startsWith('/v1/')) continue;
      for (const [method, { parameters = [], requestBody }] of Object.entries(operations)) {
        const filled = (spoil?: string) =>
          template.replaceAll(/\{(\w+)\}/g, (_match, name: string) => {
            const good = name === 'provider' ? 'strict' : name === 'tenant' ? 'acme' : 'zoho-eu';
            return name === spoil ? `${good}${encodeURIComponent(character.toWellFormed())}` : good;
          });
        const [[type, { example }] = ['', {}]] = Object.entries(requestBody?.content ?? {});
        if (type === 'application/json') {
          for (const body of spoilt(example, character)) await send(method, filled(), body, [400]);
        }
        for (const parameter of parameters) {
          const text = encodeURIComponent(character.toWellFormed());
          const path = parameter.in === 'query' ? `${filled()}?${parameter.name}=a${text}` : filled(parameter.name);
          if (parameter.in !== 'header') await send(method, path, example, [400, 404]);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(sent).toBeGreaterThan(80);
  });
});
