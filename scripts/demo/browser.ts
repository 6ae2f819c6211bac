import { NotProven } from './report.ts';

/** Addresses that a browser visited. */
export interface Visit {
  /** Every address in order; the last one is where it stayed. */
  readonly addresses: readonly URL[];
  readonly status: number;
}

/** Opens an address as a browser does and follows every redirect. */
export async function browse(address: string): Promise<Visit> {
  const addresses = [new URL(address)];
  for (;;) {
    const here = addresses.at(-1) ?? new URL(address);
    const response = await fetch(here, { redirect: 'manual', signal: AbortSignal.timeout(15_000) });
    await response.body?.cancel();
    const next = response.headers.get('location');
    if (next === null) return { addresses, status: response.status };
    if (addresses.push(new URL(next, here)) > 10) throw new NotProven('a browser', 'a page', 'redirects without end');
  }
}
