/** A consent tells its organisation, and one for another organisation is never stored. */
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { filesOf } from '../../../test/support/consents.ts';
import { isGrantryError } from '../../base/errors.ts';
import { revokeDue } from '../grant/revocations.ts';
import { internalsOf } from '../internals.ts';
import type { AuthorizeInput, Vault } from '../types.ts';
import { doDuty, duties } from '../upkeep/upkeep.ts';

const redirectUri = 'https://app.example/callback';
const tenant = 'acme';
const provider = 'zoho_crm';
const key = { tenant, provider };
const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ', 'ZohoCRM.users.READ'];
const umbrella = { id: 'umbrella@us.example', dc: 'us', name: 'Uma', orgId: '60000000777', orgName: 'Umbrella' };

async function stage(kind: 'sqlite' | 'postgres' = 'sqlite') {
  const bench = await makeBench({ kind, profiles: ['zoho'] });
  bench.simulator.registry.addUser(umbrella);
  const opened = await bench.open();
  await bench.addApp(opened.vault, provider);
  return { bench, ...opened };
}

/** Consents as a user, and returns the callback. */
async function consent(bench: Bench, vault: Vault, as: string | null, more: Partial<AuthorizeInput> = {}) {
  bench.simulator.registry.signIn(as);
  const { url } = await vault.authorize({ ...key, redirectUri, scopes, ...more });
  const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
  return response.headers.get('location') ?? '';
}

const alive = (bench: Bench) => bench.simulator.families().filter((family) => family.alive).length;

async function upkeep(vault: Vault): Promise<void> {
  for (const duty of duties) await doDuty(internalsOf(vault).open(), duty);
}

/** Makes the API answer with a status instead, until it is undone. */
function breakApi(world: Awaited<ReturnType<typeof stage>>['world'], status: number): () => void {
  const real = world.fetch.bind(world);
  world.fetch = async (url, init) => (url.includes('/crm/') ? new Response('{}', { status }) : real(url, init));
  return () => {
    world.fetch = real;
  };
}

describe.each(databaseKinds)('after a connect, on %s', (kind) => {
  it('organisation and owner are kept, and another tenant in the same one is told of', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    const grant = await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
    const known = {
      org_id: umbrella.orgId,
      org_name: 'Umbrella',
      user_id: expect.stringMatching(/^\d{11}$/),
      user_name: 'Uma',
    };
    expect(grant.metadata).toMatchObject(known);
    expect((await vault.grants.get(key))?.metadata).toEqual(grant.metadata);
    expect(await vault.health(key)).not.toHaveProperty('warning');
    await vault.completeAuthorization(await consent(bench, vault, umbrella.id, { tenant: 'globex' }));
    const report = await vault.health(key);
    expect(report).toMatchObject({ status: 'healthy', orgName: 'Umbrella', warning: expect.stringMatching(/globex/) });
    await vault.disconnect({ ...key, tenant: 'globex' });
    expect(await vault.health(key)).not.toHaveProperty('warning');
  });

  it('of many tenants in one organisation each report names a few', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    for (const each of [tenant, 'five', 'four', 'one', 'three', 'two'])
      await vault.completeAuthorization(await consent(bench, vault, umbrella.id, { tenant: each }));
    const report = await vault.health(key);
    expect(report).toMatchObject({
      status: 'healthy',
      warning: expect.stringMatching(/: (?:\w+, ){2}\w+ and others\.$/),
    });
  });

  it('a reconnect of the same account keeps it, and one of another organisation is known by the answer', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
    const again = await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
    expect(again.metadata).toMatchObject({ org_id: umbrella.orgId, org_name: 'Umbrella' });
    expect(again.generation).toBeGreaterThan(1);
    const moved = await vault.completeAuthorization(await consent(bench, vault, 'user@us.example'));
    expect(moved.metadata).toMatchObject({ org_name: 'Example Company US' });
    expect(moved.metadata['org_id']).not.toBe(umbrella.orgId);
  });

  it('an id that a person has set stays, and the difference is told', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    await vault.completeAuthorization(await consent(bench, vault, umbrella.id, { scopes: ['ZohoCRM.modules.ALL'] }));
    await vault.updateMetadata(key, { org_id: '42' });
    const grant = await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
    expect(grant.metadata).toMatchObject({ org_id: '42' });
    expect(grant.metadata).not.toHaveProperty('org_name');
    expect(await vault.health(key)).toMatchObject({
      warning: expect.stringMatching(/is 42, and the API names Umbrella/),
    });
  });
});

it('a reading that fails holds up nothing, and the next health check makes up for it', async () => {
  const { bench, vault, world } = await stage();
  await using _ = bench;
  const callback = await consent(bench, vault, umbrella.id);
  const mend = breakApi(world, 503);
  const grant = await vault.completeAuthorization(callback);
  expect(grant).toMatchObject({ state: 'active', generation: 1 });
  expect(grant.metadata).not.toHaveProperty('org_id');
  mend();
  expect(await vault.health(key)).toMatchObject({ status: 'healthy', orgName: 'Umbrella' });
  expect((await vault.grants.get(key))?.metadata).toMatchObject({ org_id: umbrella.orgId });
  expect((await vault.grants.get(key))?.generation).toBe(1);
});

it('a deactivated owner is named by the health check', async () => {
  const { bench, vault } = await stage();
  await using _ = bench;
  await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
  bench.simulator.registry.setActive(umbrella.id, false);
  expect(await vault.health(key)).toMatchObject({
    status: 'unhealthy',
    action: expect.stringMatching(/consent is from Uma/),
  });
});

describe.each(databaseKinds)('an expected organisation, on %s', (kind) => {
  it('is stored with the grant', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    const wanted = { expectOrganization: umbrella.orgId };
    const grant = await vault.completeAuthorization(await consent(bench, vault, umbrella.id, wanted));
    expect(grant.metadata).toMatchObject({ org_id: umbrella.orgId, org_name: 'Umbrella' });
  });

  it('keeps another one out: nothing is stored, and only the fresh token is revoked', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    const first = await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
    const callback = await consent(bench, vault, 'user@us.example', { expectOrganization: umbrella.orgId });
    const error = await vault.completeAuthorization(callback).catch((thrown: unknown) => thrown);
    expect(isGrantryError(error, 'authorization_failed') && error.reason).toBe('wrong_organization');
    expect(await vault.grants.get(key)).toMatchObject({ ...first });
    // At once: no worker may run where this caller is.
    expect(alive(bench)).toBe(1);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    expect(await vault.health(key)).toMatchObject({ status: 'healthy', orgName: 'Umbrella' });
  });

  it.each([
    ['answers with an error', async () => new Response('{}', { status: 503 })],
    ['cannot be reached', () => Promise.reject(new TypeError('fetch failed'))],
  ] as const)('leaves a refused token in the queue of a provider that %s', async (_name, answer) => {
    const { bench, vault, world } = await stage(kind);
    await using _ = bench;
    const callback = await consent(bench, vault, 'user@us.example', { expectOrganization: umbrella.orgId });
    const real = world.fetch.bind(world);
    world.fetch = async (url, init) => (url.includes('/revoke') ? answer() : real(url, init));
    const error = await vault.completeAuthorization(callback).catch((thrown: unknown) => thrown);
    expect(isGrantryError(error, 'authorization_failed') && error.reason).toBe('wrong_organization');
    expect(alive(bench)).toBe(1);
    world.fetch = real;
    await bench.jump(3_600_000);
    await upkeep(vault);
    expect(alive(bench)).toBe(0);
  });

  it('that cannot be read yet leaves the consent in the spool, where the same callback finds it', async () => {
    const { bench, vault, world } = await stage(kind);
    await using _ = bench;
    const callback = await consent(bench, vault, umbrella.id, { expectOrganization: umbrella.orgId });
    const mend = breakApi(world, 503);
    for (let tries = 0; tries < 2; tries += 1) {
      const error = await vault.completeAuthorization(callback).catch((thrown: unknown) => thrown);
      expect(isGrantryError(error, 'provider_unavailable') && error.reason).toBe('organization_unread');
    }
    expect(await vault.grants.get(key)).toBe(null);
    expect(alive(bench)).toBe(1);
    mend();
    expect((await vault.completeAuthorization(callback)).metadata).toMatchObject({ org_name: 'Umbrella' });
    expect(alive(bench)).toBe(1);
  });

  it('that cannot be read any more sets the consent aside, and revokes nothing', async () => {
    const { bench, vault, world } = await stage(kind);
    await using _ = bench;
    const callback = await consent(bench, vault, umbrella.id, { expectOrganization: umbrella.orgId });
    const mend = breakApi(world, 403);
    const error = await vault.completeAuthorization(callback).catch((thrown: unknown) => thrown);
    expect(isGrantryError(error, 'authorization_failed') && error.reason).toBe('organization_unread');
    mend();
    await upkeep(vault);
    expect(await vault.grants.get(key)).toBe(null);
    expect(alive(bench)).toBe(1);
  });

  it('that cannot be read before its access token ends says what to do, and is revoked when its time is over', async () => {
    const { bench, vault, world } = await stage(kind);
    await using _ = bench;
    const callback = await consent(bench, vault, umbrella.id, { expectOrganization: umbrella.orgId });
    const mend = breakApi(world, 503);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('provider_unavailable');
    await bench.jump(3_700_000);
    mend();
    await expect(vault.completeAuthorization(callback)).rejects.toMatchObject({
      code: 'authorization_failed',
      reason: 'organization_unread',
      message: expect.stringContaining('its access token ended before the API could be asked'),
      action: expect.stringMatching(/^Connect again\. /),
    });
    expect(await vault.grants.get(key)).toBe(null);
    const [name = ''] = filesOf(bench);
    const old = (bench.clock.now() - internalsOf(vault).open().condemnedKeptMs - 86_400_000) / 1_000;
    utimesSync(join(bench.home, 'spool', 'consents', name), old, old);
    await upkeep(vault);
    await revokeDue(internalsOf(vault).open());
    expect([filesOf(bench), alive(bench)]).toEqual([[], 0]);
  });

  it('that cannot be read any more: a disconnect revokes what was set aside', async () => {
    const { bench, vault, world } = await stage(kind);
    await using _ = bench;
    await vault.completeAuthorization(await consent(bench, vault, umbrella.id));
    const callback = await consent(bench, vault, umbrella.id, { expectOrganization: umbrella.orgId });
    breakApi(world, 403);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    expect(alive(bench)).toBe(2);
    await vault.disconnect(key);
    await upkeep(vault);
    expect(alive(bench)).toBe(0);
  });
});

it('an organisation is expected only where it can be read', async () => {
  const { bench, vault } = await stage();
  await using _ = bench;
  const expectOrganization = umbrella.orgId;
  const without = { ...key, redirectUri, expectOrganization, scopes: ['ZohoCRM.modules.ALL'] };
  await expect(vault.authorize(without)).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringMatching(/ZohoCRM.org.READ/),
  });
  await bench.addApp(vault, 'github');
  const there = { tenant, provider: 'github', redirectUri, expectOrganization };
  expect(await codeOf(vault.authorize(there))).toBe('invalid_request');
});
