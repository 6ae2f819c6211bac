/** Loaded before an example: it resolves `grantry` to the source tree instead of an installed package. */
import { registerHooks } from 'node:module';

const sources: Readonly<Record<string, string>> = {
  grantry: new URL('../../src/index.ts', import.meta.url).href,
  'grantry/zoho': new URL('../../src/adapters/zoho.ts', import.meta.url).href,
};

registerHooks({
  resolve: (specifier, context, next) => {
    const url = sources[specifier];
    return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
  },
});
