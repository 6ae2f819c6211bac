import { isBuiltin } from 'node:module';

/**
 * Tells whether the bundled command line leaves a module outside.
 *
 * pg looks for its native variant at run time, and works without it. Grantry's spans use the program's own copy of the SDK,
 * if there is one. prom-client cannot load without that package, so its copy is bundled: not every installer puts the packages
 * of our packages where the bundle finds them.
 *
 * @param importer the file that imports the module
 */
export function isOutsideBundle(id: string, importer: string | undefined): boolean {
  if (id === '@opentelemetry/api') return importer?.includes('/prom-client/') !== true;
  return isBuiltin(id) || id === 'pg-native';
}
