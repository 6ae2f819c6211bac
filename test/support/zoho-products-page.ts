import { zohoProducts } from '../../src/providers/built-in/zoho/products.ts';
import { builtInProvider } from '../../src/providers/catalogue.ts';
import type { ProviderDefinition } from '../../src/providers/definition.ts';

/** The page docs/zoho-products.md, from the data of the definitions. */
export function zohoProductsPage(): string {
  const products = Object.keys(zohoProducts).toSorted();
  return `# Zoho's products

Grantry knows ${products.length} products of Zoho, ManageEngine and Site24x7. \`zoho\` serves several of them with one grant. \`grantry provider show zoho_books\` prints one with its sources, and \`--json\` prints the whole definition.

This page is made from the definitions. \`npm run zoho-table\` tries each product in each data centre against the simulator.

## Hosts, organisation and health call

The host is the one of the data centre \`us\`. Data centres are those that Zoho's page of the product names; Grantry has the hosts of all.

| provider | product | host | data centres | organisation | health call and its scope |
| --- | --- | --- | --- | --- | --- |
${products.map(factsRow).join('\n')}

## How sure each fact is

\`documented\` means that Zoho's own pages say it, \`reported\` that public code or reports do, and \`guess\` that it follows from other products. None was measured at Zoho.

| provider | hosts | scopes | organisation | bad token | missing scope | health |
| --- | --- | --- | --- | --- | --- | --- |
${products.map(marksRow).join('\n')}
`;
}

function definitionOf(product: string): ProviderDefinition {
  const definition = builtInProvider(`zoho_${product}`);
  if (definition === null) throw new Error(`no product ${product}`);
  return definition;
}

function factsRow(product: string): string {
  const { name = product, api, dataCenters = {} } = definitionOf(product);
  const base = (api.base ?? '').replace(/^\{dc\.(\w+)\}$/, (_, host: string) => dataCenters['us']?.[host] ?? '');
  const place = api.organization === undefined ? '–' : `${api.organization.in} \`${api.organization.name}\``;
  const call = api.health === undefined ? '–' : `\`${api.health.path}\`, \`${api.health.scope ?? ''}\``;
  const centres = zohoProducts[product]?.dataCenters ?? 'not named';
  return `| \`zoho_${product}\` | ${name} | ${base.replace('https://', '')} | ${centres} | ${place} | ${call} |`;
}

function marksRow(product: string): string {
  const { facts = {} } = definitionOf(product);
  const groups = ['hosts', 'scopes', 'organization', 'invalidToken', 'scopeMissing', 'health'] as const;
  return `| \`zoho_${product}\` | ${groups.map((group) => facts[group] ?? 'guess').join(' | ')} |`;
}
