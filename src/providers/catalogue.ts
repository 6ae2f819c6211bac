import type { BuiltInProviderId } from '../base/provider-ids.ts';
import { github } from './built-in/github.ts';
import { google } from './built-in/google.ts';
import { hubspot } from './built-in/hubspot.ts';
import { microsoft } from './built-in/microsoft.ts';
import { quickbooks } from './built-in/quickbooks.ts';
import { ringcentral } from './built-in/ringcentral.ts';
import { salesforce } from './built-in/salesforce.ts';
import { xero } from './built-in/xero.ts';
import { zoho, zohoIds } from './built-in/zoho/zoho.ts';
import type { ProviderDefinition } from './definition.ts';

/** The makers of every built-in provider but Zoho's; the compiler asks for one per id, and for no other. */
const others = { google, microsoft, xero, quickbooks, hubspot, salesforce, github, ringcentral } satisfies Record<
  Exclude<BuiltInProviderId, `zoho${string}`>,
  () => ProviderDefinition
>;

/** Creates each definition on its first use: most programs use one or two of them. */
const makers: ReadonlyMap<string, () => ProviderDefinition> = new Map<string, () => ProviderDefinition>([
  ...zohoIds.map((id) => [id, () => zoho(id)] as const),
  ...Object.entries(others),
]);

const made = new Map<string, ProviderDefinition>();

export { builtInProviderIds } from '../base/provider-ids.ts';

/** Tells whether an id is one of {@link builtInProviderIds}; no custom provider may take it. */
export function isBuiltInProvider(id: string): boolean {
  return makers.has(id);
}

/** Returns the built-in definition with that id, or `null`. Every call returns the same object: do not change it. */
export function builtInProvider(id: string): ProviderDefinition | null {
  const known = made.get(id);
  if (known !== undefined) return known;
  const definition = makers.get(id)?.();
  if (definition === undefined) return null;
  made.set(id, definition);
  return definition;
}
