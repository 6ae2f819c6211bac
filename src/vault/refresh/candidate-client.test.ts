/** A client that a caller hands in: tested with one refresh, and at most refused itself. */
import { describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { isGrantryError } from '../../base/errors.ts';
import { checkKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient, type FaultEffect } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import { refreshGrant } from './refresh.ts';

describe('a client on trial', () => {
  it('is accepted once its tokens are saved', async () => {
    await using bench = await makeBench();
    const { attempt, key } = await trial(bench);
    expect(await attempt()).toEqual({ code: 'none', accepted: true });
    expect((await bench.row(key)).generation).toBe(2);
  });

  it.each<[string, FaultEffect, string]>([
    ['refused', { kind: 'error', error: 'invalid_client', status: 401 }, 'provider_misconfigured'],
    ['refused together with the token', { kind: 'error', error: 'invalid_grant' }, 'reauthorization_required'],
    ['not to blame for a throttled request', { kind: 'status', status: 429, when: 'before' }, 'provider_throttled'],
  ])('is %s, and the grant stands', async (_, effect, code) => {
    await using bench = await makeBench();
    const { attempt, key } = await trial(bench);
    bench.simulator.faults.add({ endpoint: 'token', effect });
    expect(await attempt()).toEqual({ code, accepted: false });
    expect(await bench.row(key)).toMatchObject({ state: 'active', lease_owner: null, generation: 1 });
  });

  it.each([
    ['is tried although the stored client was refused', 'provider_misconfigured', { code: 'none', accepted: true }],
    ['waits for a pause of the provider', 'provider_throttled', { code: 'provider_throttled', accepted: false }],
  ])('%s', async (_, reason, expected) => {
    await using bench = await makeBench();
    const { attempt } = await trial(bench);
    const backOff = { reason, retry_at: bench.clock.now() + 60_000 };
    await bench.judge.db.updateTable('oauth_tokens').set(backOff).execute();
    expect(await attempt()).toEqual(expected);
    expect(bench.requests()).toHaveLength(expected.accepted ? 1 : 0);
  });
});

const codeOfError = (error: unknown): string => (isGrantryError(error) ? error.code : String(error));

/** A grant, and a refresh of it with the demo client in a caller's hands. */
async function trial(bench: Bench) {
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  let accepted = false;
  const candidateClient = {
    name: 'on trial',
    clientId: demoClient.clientId,
    clientSecret: new Secret(demoClient.secret ?? ''),
    app: null,
    onAccepted: async (): Promise<void> => {
      accepted = true;
    },
  };
  const attempt = async () => {
    const context = internalsOf(vault).open();
    const code = await refreshGrant(context, checkKey(key), 1, { candidateClient }).then(() => 'none', codeOfError);
    return { code, accepted };
  };
  return { attempt, key };
}
