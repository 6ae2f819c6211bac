import { closestName } from '../base/closest.ts';
import { GrantryError } from '../base/errors.ts';

/** The error for a provider that there is not. It names the nearest of the known ones: the id may be misspelt. */
export function unknownProvider(id: string, known: Iterable<string>): GrantryError {
  const near = closestName(id, known);
  const text = `There is no provider ${id}.${near === null ? '' : ` Did you mean ${near}?`}`;
  return new GrantryError('not_found', text, {
    action: 'List the providers with grantry provider list, or add a definition: grantry provider add FILE.json',
    reason: 'unknown_provider',
  });
}
