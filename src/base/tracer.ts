/** Names of all spans. */
export type SpanName = 'grantry.refresh' | 'grantry.provider_request';

/** Attributes of a span: names, numbers and codes. Data from a tenant or a provider is never among them. */
export interface SpanFacts {
  readonly 'grantry.provider'?: string;
  readonly 'grantry.outcome'?: string;
  readonly 'grantry.dc'?: string;
  readonly 'http.response.status_code'?: number;
  readonly 'error.type'?: string;
}

/** A span that has not ended. */
export interface Span {
  /** Adds facts to the span. */
  set(facts: SpanFacts): void;
}

/** Receiver of spans; pass your own to `openVault`. The server uses an OpenTelemetry SDK when one is installed. */
export interface Tracer {
  /** Runs a function inside a span; the span ends with it. */
  span<T>(name: SpanName, facts: SpanFacts, run: (span: Span) => Promise<T>): Promise<T>;
}

const noSpan: Span = { set: () => {} };

export const silentTracer: Tracer = { span: (_name, _facts, run) => run(noSpan) };
