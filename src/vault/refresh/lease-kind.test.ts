import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { internalsOf } from '../internals.ts';
import { registerOwner, retireOwner } from '../spool/owner.ts';
import { leaseKindOf, waivedLease } from './lease-kind.ts';

type Rotation = ProviderDefinition['refreshToken']['rotation'];

it('chooses the kind of lease, and the part of a dead holder that is waived, by the rotation class', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault, world } = await bench.open();
  const context = internalsOf(vault).open();
  const plain = await context.providers.require('none');
  const definition = (rotation: Rotation, overlapSeconds = 0): ProviderDefinition => ({
    ...plain,
    refreshToken: { ...plain.refreshToken, rotation, overlapSeconds },
  });
  const quickSeconds = context.times.quickOverlapMinMs / 1_000;
  const kinds: readonly [ProviderDefinition, string][] = [
    [definition('none'), 'renewed'],
    [definition('retire_on_use'), 'renewed'],
    [definition('timed_overlap', quickSeconds), 'renewed'],
    [definition('timed_overlap', quickSeconds - 1), 'strict'],
    [definition('strict', 3_600), 'strict'],
  ];
  for (const [each, kind] of kinds) expect(leaseKindOf(context, each)).toBe(kind);

  const owner = registerOwner(world);
  const waived = (rotation: Rotation, overlapSeconds = 0, by: string | null = owner.id) =>
    waivedLease(context, definition(rotation, overlapSeconds), by)?.ms;
  expect(waived('none')).toBeUndefined();
  retireOwner(owner);
  const { renewedLeaseMs } = context.times;
  expect(waived('none')).toBe(renewedLeaseMs);
  expect(waived('retire_on_use')).toBe(renewedLeaseMs / 2);
  expect(waived('timed_overlap', quickSeconds)).toBe(renewedLeaseMs / 2);
  expect(waived('timed_overlap', quickSeconds - 1)).toBeUndefined();
  expect(waived('strict', 3_600)).toBeUndefined();
  expect(waived('none', 0, null)).toBeUndefined();
});
