/** Loaded before an example: it resolves `grantry` to the source tree instead of an installed package. */
import { registerHooks } from 'node:module';

const source = new URL('../../src/index.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'grantry' ? { url: source, shortCircuit: true } : next(specifier, context),
});
