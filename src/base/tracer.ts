/** The spans there are. */
export type SpanName = 'grantry.refresh' | 'grantry.provider_request';

/** All that a span may say: names, numbers and codes. Nothing that a tenant or a provider sent is among them. */
export interface SpanFacts {
  readonly 'grantry.provider'?: string;
  readonly 'grantry.outcome'?: string;
  readonly 'grantry.dc'?: string;
  readonly 'http.response.status_code'?: number;
  readonly 'error.type'?: string;
}

/** A span that is open. */
export interface Span {
  /** Adds facts to the span. */
  set(facts: SpanFacts): void;
}

/** Where spans go; hand in your own to `openVault`. A server speaks to an OpenTelemetry SDK when one is there. */
export interface Tracer {
  /** Runs something inside a span, which ends with it. */
  span<T>(name: SpanName, facts: SpanFacts, run: (span: Span) => Promise<T>): Promise<T>;
}

const noSpan: Span = { set: () => {} };

export const silentTracer: Tracer = { span: (_name, _facts, run) => run(noSpan) };
