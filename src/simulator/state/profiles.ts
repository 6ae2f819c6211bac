import { noRotation, type RotationRule } from './families.ts';

/** A standard authorization server with an API. */
export interface OAuthProfile {
  /** The provider id. */
  readonly id: string;
  readonly name: string;
  /** Its origin before it listens on a port. */
  readonly origin: string;
  /** All origins that belong to it. */
  readonly hosts: readonly string[];
  readonly paths: { readonly authorization: string; readonly token: string; readonly revocation: string | null };
  readonly rotation: RotationRule;
  readonly accessTokenSeconds: number;
  /** Tells whether token answers contain the access token's lifetime. */
  readonly expiresIn: 'seconds' | 'missing';
  readonly idleSeconds: number | null;
  readonly absoluteSeconds: number | null;
  readonly livePerUserAndClient: number | null;
  readonly scopeSeparator: string;
  /** Parameters of the callback besides code and state; `{orgId}` is the user's organisation. */
  readonly callbackExtras: Readonly<Record<string, string>>;
  /**
   * Members of token answers besides the usual ones; `{origin}` is this server's address, `{orgId}` the user's
   * organisation.
   */
  readonly tokenExtras: Readonly<Record<string, string>>;
  /** Path of the API's health call, and the JSON Pointer to the organisation's name in its answer. */
  readonly health: { readonly path: string; readonly name: string } | null;
  readonly scheme: string;
}

/** The rotation classes, each as one server. */
export const rotationProfiles = [
  'none',
  'timed_overlap',
  'retire_on_use',
  'strict',
  'strict_revokes_family',
  'overlap_newest_only',
] as const;

/** Servers whose callback or token answer contains a value to capture: QuickBooks' realm, Salesforce's instance. */
export const captureProfiles = ['callback_capture', 'token_capture'] as const;

/** The name of a built-in OAuth profile. */
export type BuiltInProfile = (typeof rotationProfiles)[number] | (typeof captureProfiles)[number];

/** The profile names that `startSimulator` accepts, except `zoho`. */
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
 * Returns a built-in profile, with changes.
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
