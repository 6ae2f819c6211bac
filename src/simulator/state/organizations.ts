import { z } from 'zod';
import { text } from './schema-parts.ts';

export const environments = ['production', 'sandbox', 'developer'] as const;

/** Kinds of organisation. A token belongs to one organisation, and its API answers only at the host of that kind. */
export type Environment = (typeof environments)[number];

export const organizationSchema = z.strictObject({
  id: text,
  name: text.optional(),
  /** Defaults to `production`. */
  environment: z.enum(environments).optional(),
});

/** An organisation of a user, with every default filled in. */
export interface KnownOrganization {
  readonly id: string;
  readonly name: string;
  readonly environment: Environment;
}

/** A user with organisations. */
export interface Member {
  readonly orgId: string;
  readonly orgName: string;
  readonly organizations: readonly KnownOrganization[];
}

/** Returns the organisation with that id, or else the first one. */
export function organizationOf(user: Member, id: string | null | undefined): KnownOrganization {
  const found = user.organizations.find((each) => each.id === id) ?? user.organizations[0];
  return found ?? { id: user.orgId, name: user.orgName, environment: 'production' };
}

/** Returns the user as a product sees it that serves one organisation: the one that was picked at the consent. */
export function inOrganization<User extends Member>(user: User, id: string | null): User {
  const { id: orgId, name: orgName } = organizationOf(user, id);
  return { ...user, orgId, orgName };
}
