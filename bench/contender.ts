/** Key of one grant among many, with the vault's names. */
export interface BenchKey {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
}

export interface Contender {
  name: string;
  /** Number of grants that it holds. */
  grants: number;
  /** Adaptation of its model to the same work. */
  note: string;
  /** Returns the valid access token of one grant. */
  token: (key: BenchKey) => Promise<string>;
}

/** Long enough that no contender's early refresh begins. */
export const lifetimeSeconds = 86_400;

export function benchKey(index: number): BenchKey {
  return { tenant: `tenant-${index}`, provider: 'zoho_crm', account: 'default' };
}

/** Composes the key of a plain `Map` for each call, as a caller with the three names must. */
export function composeKey(key: BenchKey): string {
  return `${key.tenant}\0${key.provider}\0${key.account}`;
}

export function accessTokenOf(key: BenchKey): string {
  return `access-${key.tenant}-0123456789abcdef0123456789abcdef`;
}

/** Puts one object per grant into a `Map`, as users of a library for a single user do. */
export async function perGrant<Client>(
  grants: number,
  make: (key: BenchKey) => Client | Promise<Client>,
): Promise<(key: BenchKey) => Client> {
  const clients = new Map<string, Client>();
  for (let index = 0; index < grants; index += 1) {
    const key = benchKey(index);
    // One after the other on purpose, so that the order of creation is equal for all contenders.
    clients.set(composeKey(key), await make(key));
  }
  return (key) => {
    const client = clients.get(composeKey(key));
    if (client === undefined) throw new Error(`no client for ${key.tenant}`);
    return client;
  };
}
