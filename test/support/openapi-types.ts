/**
 * Writes the TypeScript types of the OpenAPI document on standard input to standard output, by `openapi-typescript`.
 *
 * The generator needs the JavaScript API of TypeScript 6, which TypeScript 7 no longer has: it gets a copy of its own.
 */
import { registerHooks } from 'node:module';
import { text } from 'node:stream/consumers';

registerHooks({
  resolve: (specifier, context, next) => next(specifier === 'typescript' ? 'typescript-6' : specifier, context),
});
const { default: openapiTS, astToString } = await import('openapi-typescript');
process.stdout.write(astToString(await openapiTS(await text(process.stdin))));
