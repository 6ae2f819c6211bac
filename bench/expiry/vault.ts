import { openVault, systemWorld, type Vault, type World } from '../../src/index.ts';

export const provider = 'herd';

/** Settings that every process of the herd opens its vault with. */
export interface HerdPlace {
  readonly home: string;
  readonly database: string;
  readonly rootKey: string;
  readonly origin: string;
  /** Seconds before its expiry at which a token is replaced; workers begin twice as early. */
  readonly earlySeconds: number;
  readonly timeScale: number;
}

export function openHerdVault(place: HerdPlace, world: World): Promise<Vault> {
  return openVault({
    home: place.home,
    database: place.database,
    rootKey: place.rootKey,
    world,
    unsafeAllowLoopbackProviders: 'a token endpoint on this machine is asked',
    providers: [
      {
        id: provider,
        endpoints: { token: `${place.origin}/token` },
        api: { hosts: [place.origin] },
        refreshToken: { rotation: 'strict' },
        accessToken: { earlyRefreshSeconds: place.earlySeconds },
      },
    ],
  });
}

/** Creates the real world and counts its concurrent calls to the provider. */
export function countingWorld(timeScale: number): { world: World; mostAtOnce: () => number } {
  const world = systemWorld({ timeScale, allowLoopback: true });
  let atOnce = 0;
  let most = 0;
  const fetchCounted: World['fetch'] = async (url, init) => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    try {
      const response = await world.fetch(url, init);
      const body = await response.arrayBuffer();
      return new Response(body, { status: response.status, headers: response.headers });
    } finally {
      atOnce -= 1;
    }
  };
  return { world: { ...world, fetch: fetchCounted }, mostAtOnce: () => most };
}
