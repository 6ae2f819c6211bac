import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HealthReport } from '../../../vault/types.ts';
import { resolveSettings } from '../../settings.ts';
import { changesOf, keepReport, readLastReport } from './trend.ts';

let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'grantry-trend-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const settings = (database = `sqlite:${home}/grantry.db`) => resolveSettings({ home, database }, {});
const at = (minutes: number): Date => new Date(Date.UTC(2026, 0, 1, 0, minutes));
const key = (tenant: string) => ({ tenant, provider: 'zoho', account: 'default', dc: 'eu' });
const healthy = (tenant: string): HealthReport => ({
  status: 'healthy',
  ...key(tenant),
  orgName: 'Secret Name',
  tokenFingerprint: 'q2Jx0cW1h7Yb',
});
const lost = (tenant: string): HealthReport => ({
  status: 'unhealthy',
  ...key(tenant),
  error: 'reauthorization_required',
  message: 'The provider refuses the refresh token.',
  action: 'Connect again.',
  actionRequired: true,
});

function run(reports: readonly HealthReport[], now: Date, isWhole = true) {
  const last = readLastReport(settings());
  const changes = changesOf(last, reports, now);
  keepReport(settings(), { last, reports, changes, now }, isWhole);
  return changes;
}

test('a state keeps the time of the report that first saw it, and a change names the state before', () => {
  expect(run([healthy('acme'), healthy('globex')], at(0))).toEqual([
    { since: at(0).toISOString(), was: null },
    { since: at(0).toISOString(), was: null },
  ]);
  expect(run([lost('acme'), healthy('globex')], at(1))).toEqual([
    { since: at(1).toISOString(), was: 'healthy' },
    { since: at(0).toISOString(), was: 'healthy' },
  ]);
  expect(run([lost('acme')], at(2))).toEqual([{ since: at(1).toISOString(), was: 'reauthorization_required' }]);
});

test('a report on one tenant leaves what is known of the others', () => {
  run([healthy('acme'), healthy('globex')], at(0));
  run([lost('acme')], at(1), false);
  expect([...(readLastReport(settings())?.grants.values() ?? [])].map(({ tenant, state }) => [tenant, state])).toEqual([
    ['acme', 'reauthorization_required'],
    ['globex', 'healthy'],
  ]);
});

test('the file has states and times, and nothing that came from a provider', () => {
  run([healthy('acme'), lost('globex')], at(0));
  const [file = ''] = readdirSync(home);
  const text = readFileSync(join(home, file), 'utf8');
  expect(text).not.toMatch(/Secret Name|q2Jx0cW1h7Yb|refuses/);
  expect(JSON.parse(text).grants[0]).toEqual({
    tenant: 'acme',
    provider: 'zoho',
    account: 'default',
    state: 'healthy',
    since: at(0).toISOString(),
  });
});

test('two databases do not share a report, a password does not count, and a broken file is as none', () => {
  run([healthy('acme')], at(0));
  expect(readLastReport(settings('postgres://a:one@db/crm'))).toBeNull();
  const one = settings('postgres://a:one@db/crm');
  keepReport(one, { last: null, reports: [lost('acme')], changes: [], now: at(1) }, true);
  expect(readLastReport(settings('postgres://a:two@db/crm'))?.grants.size).toBe(1);
  for (const file of readdirSync(home)) writeFileSync(join(home, file), '{"version":1');
  expect(readLastReport(one)).toBeNull();
});
