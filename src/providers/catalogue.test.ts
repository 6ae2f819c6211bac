import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { builtInProvider, builtInProviderIds, isBuiltInProvider } from './catalogue.ts';
import { checkOrigins } from './check-origins.ts';
import { providerDefinition, rotationClasses } from './definition.ts';
import { isProviderHost } from './hosts.ts';
import { parseProviderDefinition } from './parse.ts';

const all = builtInProviderIds.map((id) => builtInProvider(id)).filter((definition) => definition !== null);

test('every product of Zoho and the other providers are there', () => {
  const products =
    'crm books calendar creator analytics desk mail projects people invoice inventory bigin recruit campaigns cliq ' +
    'workdrive sign bookings catalyst ' +
    'expense billing payroll payments commerce fsm workerly phonebridge dataprep tables meeting voice salesiq assist lens ' +
    'connect social zeptomail bugtracker sprints sheet writer contracts learn vault marketingautomation backstage shifts ' +
    'directory servicedesk endpointcentral site24x7';
  const others = ['google', 'microsoft', 'xero', 'quickbooks', 'hubspot', 'salesforce', 'github', 'ringcentral'];
  const expected = ['zoho', ...products.split(' ').map((product) => `zoho_${product}`), ...others];
  expect(new Set(builtInProviderIds)).toEqual(new Set(expected));
  expect(builtInProviderIds).toHaveLength(60);
  expect(builtInProviderIds.filter((id) => !isBuiltInProvider(id))).toEqual([]);
  expect(builtInProvider('zoho_nothing')).toBeNull();
  expect(isBuiltInProvider('constructor')).toBe(false);
});

describe.each(all)('$id', (definition) => {
  test('equals the output of the schema, so its defaults are the documented ones', () => {
    expect(providerDefinition.parse(definition)).toEqual(definition);
  });

  test('survives JSON, so that it can be printed and added again', () => {
    expect(parseProviderDefinition(JSON.stringify(definition))).toEqual(definition);
  });

  test('holds only public https origins, and references that lead somewhere', () => {
    expect(() => checkOrigins(definition)).not.toThrow();
  });

  test('says where its facts come from', () => {
    expect(definition.sources?.length).toBeGreaterThan(0);
    expect(definition.documentation).toMatch(/^https:/);
  });

  test('has its API among its hosts in every data centre', () => {
    for (const hosts of Object.values(definition.dataCenters ?? {})) {
      const base = definition.api.base?.replace(/^\{dc\.(\w+)\}$/, (_, name: string) => hosts[name] ?? '');
      if (base !== undefined) expect(isProviderHost(definition, base)).toBe(true);
    }
  });
});

test('every rotation class and every place to capture from has a real case', () => {
  expect(new Set(all.map((definition) => definition.refreshToken.rotation))).toEqual(new Set(rotationClasses));
  expect(builtInProvider('quickbooks')?.capture?.callback).toEqual({ realmId: 'realm_id' });
  expect(builtInProvider('salesforce')?.capture?.token).toEqual({ instance_url: 'api_domain' });
  expect(builtInProvider('xero')?.api.headers['Xero-Tenant-Id']).toBe('{metadata.xero_tenant_id}');
  for (const { refreshToken } of all) {
    expect(refreshToken.overlapSeconds > 0).toBe(refreshToken.rotation === 'timed_overlap');
  }
});

test('reading the catalogue does not load the validator', () => {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const here = dirname(fileURLToPath(import.meta.url));
  const walk = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [, type, from = ''] of readFileSync(path, 'utf8').matchAll(
      /^(?:import|export) (type )?[^;]*?from '([^']+)'/gm,
    )) {
      if (type !== undefined) continue;
      if (from.startsWith('.')) walk(join(dirname(path), from));
      else packages.add(from);
    }
  };
  for (const file of ['catalogue.ts', 'hosts.ts', 'data-centre.ts', 'errors.ts', 'invalid-token.ts', 'scopes.ts']) {
    walk(join(here, file));
  }
  expect([...packages]).toEqual([]);
  expect(seen.size).toBeGreaterThan(12);
});
