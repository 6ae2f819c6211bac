/** `health --refresh`, and the organisation that a grant is of. */
import { describe, expect, it } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { makeUpstream } from '../../../test/support/upstream.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import { demoClient } from '../../simulator/index.ts';

describe.each(databaseKinds)('health with a refresh, on %s', (kind) => {
  it('shows a wrong client secret, which the stored token hides', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_000 });
    expect(await vault.health(key, { refresh: true })).toMatchObject({ status: 'healthy' });
    expect((await bench.row(key)).generation).toBe(2);
    await vault.apps.put('strict', { provider: 'strict', clientId: demoClient.clientId, clientSecret: 'wrong' });
    expect(await vault.health(key)).toMatchObject({ status: 'healthy' });
    expect(await vault.health(key, { refresh: true })).toMatchObject({
      status: 'unhealthy',
      error: 'provider_misconfigured',
      actionRequired: true,
    });
    expect((await bench.row(key)).state).toBe('active');
  });

  it('sends one request, however many ask at once and in however many processes', async () => {
    await using bench = await makeBench({ kind });
    const vaults = [(await bench.open()).vault, (await bench.open()).vault];
    const { key } = await bench.connect(vaults[0] ?? expect.fail(), { expiresIn: 3_000 });
    const reports = await Promise.all([...vaults, ...vaults].map((vault) => vault.health(key, { refresh: true })));
    expect(reports.map(({ status }) => status)).toEqual(['healthy', 'healthy', 'healthy', 'healthy']);
    expect(bench.requests().length).toBeLessThanOrEqual(2);
    expect((await bench.row(key)).generation).toBe(1 + bench.requests().length);
  });

  it('does not force a grant in doubt', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { expiresIn: 3_000 });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    expect(await vault.health(key, { refresh: true })).toMatchObject({
      status: 'unhealthy',
      error: 'refresh_uncertain',
    });
    expect((await bench.row(key)).state).toBe('uncertain');
    bench.simulator.faults.clear();
    expect(await vault.health(key, { refresh: true })).toMatchObject({
      status: 'unhealthy',
      error: 'refresh_uncertain',
      actionRequired: false,
    });
    expect(bench.requests()).toHaveLength(1);
  });

  it('keeps to the limits of the provider', async () => {
    const change = (definition: ProviderDefinitionInput): ProviderDefinitionInput => ({
      ...definition,
      tokenLimit: { requests: 2, windowSeconds: 600 },
    });
    await using bench = await makeBench({ kind, change, profiles: ['none'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none', expiresIn: 3_000 });
    const seen: string[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const report = await vault.health(key, { refresh: true });
      seen.push(report.status === 'healthy' ? report.status : report.error);
      await bench.jump(3_000);
    }
    expect(seen).toEqual(['healthy', 'healthy', 'provider_throttled', 'provider_throttled']);
    expect(bench.requests()).toHaveLength(2);
    expect((await vault.getAccessToken(key)).accessToken).toMatch(/./);
  });
});

const key = { tenant: 'acme', provider: 'plain' };

async function healthOf(
  organizations: readonly object[],
  { orgId, sent = true }: { orgId?: string | number; sent?: boolean } = {},
) {
  await using upstream = await makeUpstream({
    api: (_, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ organizations })),
    change: (definition) => ({
      ...definition,
      api: {
        ...definition.api,
        ...(sent ? { organization: { in: 'query', name: 'organization_id' } } : {}),
        health: {
          path: '/organizations',
          name: '/organizations/0/name',
          organizations: { list: '/organizations', ids: ['/id', '/shown_id'] },
        },
      },
    }),
    ...(orgId === undefined ? {} : { metadata: { org_id: orgId } }),
  });
  return await upstream.vault.health(key);
}

const soylent = { id: '123', shown_id: 'o-123', name: 'Soylent GmbH' };
const other = { id: '456', name: 'Umbrella' };

describe('the organisation of a grant', () => {
  it.each([
    ['is the only one', [soylent], '123'],
    ['is one of several', [other, soylent], '123'],
    ['is named by its other id', [soylent], 'o-123'],
    ['is a number', [{ ...soylent, id: 123 }], 123],
  ] as const)('is right when it %s', async (_, organizations, orgId) => {
    const report = await healthOf(organizations, { orgId });
    expect(report).toMatchObject({ status: 'healthy' });
    expect(report).not.toHaveProperty('warning');
  });

  it('is a failure when calls carry another one', async () => {
    expect(await healthOf([soylent, other], { orgId: '999' })).toMatchObject({
      status: 'unhealthy',
      error: 'provider_misconfigured',
      message: "The grant's org_id is 999, and the API names 123, 456.",
      actionRequired: true,
    });
  });

  it('is a hint when it may be one of another product', async () => {
    expect(await healthOf([soylent], { orgId: '999', sent: false })).toMatchObject({
      status: 'healthy',
      orgName: 'Soylent GmbH',
      warning: "The grant's org_id is 999, and the API names 123.",
    });
  });

  it('needs no word when it is the only one, and a choice when it is one of several', async () => {
    const report = await healthOf([soylent]);
    expect(report).toMatchObject({ status: 'healthy' });
    expect(report).not.toHaveProperty('warning');
    expect(await healthOf([soylent, other])).toMatchObject({
      warning: 'The grant has no org_id, and its user has 2 organisations: 123, 456. Choose one.',
    });
    expect(await healthOf([soylent], { sent: false })).not.toHaveProperty('warning');
  });

  it('says nothing when the answer names none, or a number that lost digits', async () => {
    for (const organizations of [[], [{ name: 'x' }], [{ id: 2 ** 60 }]]) {
      const report = await healthOf(organizations, { orgId: '999' });
      expect(report).toMatchObject({ status: 'healthy' });
      expect(report).not.toHaveProperty('warning');
    }
  });
});
