import type { Family } from '../state/families.ts';
import { type Environment, organizationOf } from '../state/organizations.ts';
import type { SimulatorState } from '../state/state.ts';

/** The environment of the organisation that a grant belongs to. */
export function environmentOf(state: SimulatorState, family: Pick<Family, 'user' | 'organization'>): Environment {
  const user = state.registry.user(family.user);
  return user === undefined ? 'production' : organizationOf(user, family.organization).environment;
}
