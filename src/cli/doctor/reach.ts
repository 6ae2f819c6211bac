import type { World } from '../../base/world.ts';
import { grantDc } from '../../providers/data-centre.ts';
import { expand } from '../../providers/expand.ts';
import type { App, Grant, Vault } from '../../vault/types.ts';
import { type Finding, finding, ok, warn } from './finding.ts';

const reachMs = 5_000;

/** Checks that the token hosts of the providers in use answer, with requests that need no secret. */
export async function reachFindings(
  world: World,
  vault: Vault,
  used: { apps: readonly App[]; grants: readonly Grant[] },
): Promise<readonly Finding[]> {
  const hosts = new Map<string, string>();
  for (const { provider, dc, metadata } of places(used)) {
    // Another check names a definition that was altered.
    const definition = await vault.providers.get(provider).catch(() => null);
    const token = definition?.endpoints?.token;
    if (definition === null || token === undefined) continue;
    const place = { dc: grantDc({ definition, metadata, app: { dc } }), metadata };
    const url = await finding(provider, async () => ok(provider, new URL(expand(definition, token, place)).origin));
    if (url.status === 'ok') hosts.set(url.detail, url.detail);
  }
  return Promise.all([...hosts.keys()].sort().map((origin) => reach(world, origin)));
}

function places({ apps, grants }: { apps: readonly App[]; grants: readonly Grant[] }) {
  return [
    ...apps.map((app) => ({ provider: app.provider, dc: app.dc, metadata: {} })),
    ...grants
      .filter((grant) => grant.state !== 'disconnected')
      .map((grant) => ({ provider: grant.provider, dc: grant.dc, metadata: grant.metadata })),
  ];
}

async function reach(world: World, origin: string): Promise<Finding> {
  const timeOut = new AbortController();
  const slept = world.sleep(reachMs, timeOut.signal).then(
    () => timeOut.abort(),
    () => {},
  );
  try {
    const response = await world.fetch(`${origin}/`, { method: 'HEAD', headers: {}, signal: timeOut.signal });
    await response.body?.cancel();
    return ok('provider', `${origin} answers`);
  } catch {
    return warn(
      'provider',
      `${origin} does not answer`,
      'Check the network, the proxy and the firewall of this machine.',
    );
  } finally {
    timeOut.abort();
    await slept;
  }
}
