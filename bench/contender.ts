/** What every contender is asked for: one grant of many, named as the vault names it. */
export interface BenchKey {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
}

export interface Contender {
  name: string;
  /** How many grants it holds. */
  grants: number;
  /** How its model was fitted to the same work. */
  note: string;
  /** Hands out the valid access token of one grant. */
  token: (key: BenchKey) => Promise<string>;
}

/** Enough life that no contender's margin matters. */
export const lifetimeSeconds = 86_400;

export function benchKey(index: number): BenchKey {
  return { tenant: `tenant-${index}`, provider: 'zoho_crm', account: 'default' };
}

/** The key of a plain `Map`, composed for each call, as a caller that has the three names must. */
export function composeKey(key: BenchKey): string {
  return `${key.tenant}\0${key.provider}\0${key.account}`;
}

export function accessTokenOf(key: BenchKey): string {
  return `access-${key.tenant}-0123456789abcdef0123456789abcdef`;
}

/** One object per grant behind a `Map`: how a library that knows a single user is used for many. */
export async function perGrant<Client>(
  grants: number,
  make: (key: BenchKey) => Client | Promise<Client>,
): Promise<(key: BenchKey) => Client> {
  const clients = new Map<string, Client>();
  for (let index = 0; index < grants; index += 1) {
    const key = benchKey(index);
    // One after the other on purpose: the order of making is the same for everybody.
    clients.set(composeKey(key), await make(key));
  }
  return (key) => {
    const client = clients.get(composeKey(key));
    if (client === undefined) throw new Error(`no client for ${key.tenant}`);
    return client;
  };
}
