import { noRotation, type RotationRule } from './families.ts';

/** An authorization server of the usual kind, and the API behind it. */
export interface OAuthProfile {
  /** The provider id. */
  readonly id: string;
  readonly name: string;
  /** Where it is before it listens anywhere. */
  readonly origin: string;
  /** Every address that belongs to it. */
  readonly hosts: readonly string[];
  readonly paths: { readonly authorization: string; readonly token: string; readonly revocation: string | null };
  readonly rotation: RotationRule;
  readonly accessTokenSeconds: number;
  /** Whether token answers say how long the access token lives. */
  readonly expiresIn: 'seconds' | 'missing';
  readonly idleSeconds: number | null;
  readonly absoluteSeconds: number | null;
  readonly livePerUserAndClient: number | null;
  readonly scopeSeparator: string;
  /** Parameters that the callback carries besides code and state; `{orgId}` is the user's organisation. */
  readonly callbackExtras: Readonly<Record<string, string>>;
  /**
   * Members that token answers carry besides the usual ones; `{origin}` is this server's address, `{orgId}` the user's
   * organisation.
   */
  readonly tokenExtras: Readonly<Record<string, string>>;
  /** The API's answer to its health call: where in the body the organisation's name stands. */
  readonly health: { readonly path: string; readonly name: string } | null;
  readonly scheme: string;
}

/** The rotation classes, each as a server one can connect to. */
export const rotationProfiles = [
  'none',
  'timed_overlap',
  'retire_on_use',
  'strict',
  'strict_revokes_family',
  'overlap_newest_only',
] as const;

/** Servers that give something away which has to be kept: QuickBooks' realm, Salesforce's instance. */
export const captureProfiles = ['callback_capture', 'token_capture'] as const;

/** The name of a built-in OAuth profile. */
export type BuiltInProfile = (typeof rotationProfiles)[number] | (typeof captureProfiles)[number];

/** The names that `startSimulator` takes, `zoho` apart. */
export const builtInProfiles: readonly BuiltInProfile[] = [...rotationProfiles, ...captureProfiles];

const rules: Readonly<Record<BuiltInProfile, RotationRule>> = {
  none: noRotation,
  timed_overlap: { ...noRotation, kind: 'timed_overlap', overlapSeconds: 60 },
  retire_on_use: { ...noRotation, kind: 'retire_on_use' },
  strict: { ...noRotation, kind: 'strict' },
  strict_revokes_family: { ...noRotation, kind: 'strict', reuse: 'revokes_family' },
  overlap_newest_only: {
    ...noRotation,
    kind: 'timed_overlap',
    overlapSeconds: 60,
    replay: 'newest_only',
    reuse: 'revokes_family',
  },
  callback_capture: { ...noRotation, kind: 'timed_overlap', overlapSeconds: 86_400 },
  token_capture: noRotation,
};

/**
 * A built-in profile, with changes.
 *
 * @example
 * builtInProfile('timed_overlap', { rotation: { overlapSeconds: 10 }, accessTokenSeconds: 60 });
 */
export function builtInProfile(
  id: BuiltInProfile,
  change: Partial<Omit<OAuthProfile, 'rotation'>> & { rotation?: Partial<RotationRule> } = {},
): OAuthProfile {
  const origin = `https://${id.replaceAll('_', '-')}.simulator.example`;
  const rotation = { ...rules[id], ...change.rotation };
  return {
    id,
    name: `Simulated: ${id.replaceAll('_', ' ')}`,
    origin,
    hosts: [origin],
    paths: { authorization: '/authorize', token: '/token', revocation: '/revoke' },
    accessTokenSeconds: 3600,
    expiresIn: 'seconds',
    idleSeconds: null,
    absoluteSeconds: null,
    livePerUserAndClient: null,
    scopeSeparator: ' ',
    callbackExtras: id === 'callback_capture' ? { realmId: '{orgId}' } : {},
    tokenExtras: id === 'token_capture' ? { instance_url: '{origin}' } : {},
    health: { path: '/api/organization', name: '/name' },
    scheme: 'Bearer',
    ...change,
    rotation,
  };
}

export function isBuiltInProfile(name: string): name is BuiltInProfile {
  return builtInProfiles.some((known) => known === name);
}
