interface Cell {
  readonly labels: string;
  /** Requests per bucket; the last one counts those above the highest bound. */
  readonly counts: number[];
  count: number;
  sum: number;
}

const boundsMs = [1, 5, 20, 100, 500, 2_000, 10_000, 30_000];

const name = 'grantry_http_request_seconds';

/** Counts requests by route and status. Every request passes here, so it costs one look-up and one addition. */
export class RequestHistogram {
  readonly #cells = new Map<string, Cell>();

  /** @param tenant undefined when tenants are no label */
  observe(method: string, route: string, status: number, tenant: string | undefined, ms: number): void {
    const key = tenant === undefined ? `${status} ${method} ${route}` : `${status} ${method} ${route} ${tenant}`;
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      const labels = { method, route, status: String(status), ...(tenant === undefined ? {} : { tenant }) };
      cell = { labels: written(labels), counts: boundsMs.map(() => 0).concat(0), count: 0, sum: 0 };
      this.#cells.set(key, cell);
    }
    let at = 0;
    while (at < boundsMs.length && ms > (boundsMs[at] ?? 0)) at += 1;
    cell.counts[at] = (cell.counts[at] ?? 0) + 1;
    cell.count += 1;
    cell.sum += ms;
  }

  /** Renders the histogram for Prometheus. */
  render(): string {
    const lines = [`# HELP ${name} Requests by route and status, and their duration`, `# TYPE ${name} histogram`];
    for (const { labels, counts, count, sum } of this.#cells.values()) {
      let below = 0;
      for (const [at, bound] of boundsMs.entries()) {
        below += counts[at] ?? 0;
        lines.push(`${name}_bucket{${labels},le="${bound / 1_000}"} ${below}`);
      }
      lines.push(`${name}_bucket{${labels},le="+Inf"} ${count}`);
      lines.push(`${name}_sum{${labels}} ${sum / 1_000}`, `${name}_count{${labels}} ${count}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

function written(labels: Readonly<Record<string, string>>): string {
  const escaped = (value: string): string =>
    value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
  return Object.entries(labels)
    .map(([label, value]) => `${label}="${escaped(value)}"`)
    .join(',');
}
