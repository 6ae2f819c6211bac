import type { ProviderDefinition } from '../../providers/definition.ts';
import { noRotation, type RotationRule } from '../state/families.ts';
import type { OAuthProfile } from '../state/profiles.ts';

/**
 * Creates a provider's simulated twin from its definition: the same paths, rotation, lifetimes and captured parameters.
 *
 * All its hosts and data centres become one server.
 */
export function twinOf(definition: ProviderDefinition): OAuthProfile {
  const { endpoints, refreshToken, capture } = definition;
  const hosts = hostsOf(definition);
  return {
    id: definition.id,
    name: `Simulated: ${definition.name ?? definition.id}`,
    origin: hosts[0] ?? `https://${definition.id}.simulator.example`,
    hosts,
    paths: {
      authorization: pathOf(endpoints?.authorization) ?? '/authorize',
      token: pathOf(endpoints?.token) ?? '/token',
      revocation: pathOf(endpoints?.revocation),
    },
    rotation: {
      ...noRotation,
      kind: refreshToken.rotation,
      overlapSeconds: refreshToken.overlapSeconds,
      reuse: refreshToken.reuse,
      ...habits[definition.id]?.rotation,
    },
    accessTokenSeconds: definition.accessToken.lifetimeSeconds,
    expiresIn: habits[definition.id]?.expiresIn ?? 'seconds',
    idleSeconds: refreshToken.idleSeconds,
    absoluteSeconds: refreshToken.absoluteSeconds,
    livePerUserAndClient: refreshToken.livePerUserAndClient,
    scopeSeparator: definition.scopeSeparator,
    callbackExtras: Object.fromEntries(Object.keys(capture?.callback ?? {}).map((name) => [name, '{orgId}'])),
    tokenExtras: Object.fromEntries(
      Object.keys(capture?.token ?? {}).map((name) => [name, /url|domain/i.test(name) ? '{origin}' : '{orgId}']),
    ),
    health: { path: definition.api.health?.path ?? '/', name: definition.api.health?.name ?? '/name' },
    scheme: definition.accessToken.scheme,
  };
}

/** Behaviour of single providers that a definition does not describe. */
const habits: Readonly<Record<string, { rotation?: Partial<RotationRule>; expiresIn?: 'missing' }>> = {
  // Each refresh returns a new refresh token, and the old one stays valid.
  microsoft: { rotation: { kind: 'timed_overlap', overlapSeconds: 7_776_000 } },
  github: { rotation: { oldAccessTokenDies: true } },
  ringcentral: { rotation: { replay: 'same' } },
  salesforce: { expiresIn: 'missing' },
};

/** Lists every origin that a definition names. */
function hostsOf(definition: ProviderDefinition): string[] {
  const urls = [
    ...Object.values(definition.endpoints ?? {}),
    ...Object.values(definition.dataCenters ?? {}).flatMap((hosts) => Object.values(hosts)),
    ...definition.api.hosts,
    definition.issuer,
    definition.api.base,
  ];
  const origins = urls.flatMap((url) => /^https?:\/\/[^/?#{}]+/i.exec(url ?? '')?.[0].toLowerCase() ?? []);
  return [...new Set(origins)];
}

/** Returns the path of an endpoint that starts with an origin or a reference to one. */
function pathOf(endpoint: string | undefined): string | null {
  return endpoint === undefined ? null : (/^(?:https?:\/\/[^/?#]+|\{[^}]+\})(\/[^?#]*)/i.exec(endpoint)?.[1] ?? '/');
}
