/** Loaded before an example: there `grantry` is the source at hand, not an installed package. */
import { registerHooks } from 'node:module';

const source = new URL('../../src/index.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'grantry' ? { url: source, shortCircuit: true } : next(specifier, context),
});
