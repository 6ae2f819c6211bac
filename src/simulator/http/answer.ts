import type { NewEvent } from '../state/history.ts';

/** A handler's facts about the request for the history; the engine adds the others. */
export type AnswerEvent = Omit<NewEvent, 'at' | 'profile' | 'dc' | 'status' | 'fault'>;

/** A server's answer before a fault changes it. */
export interface SimulatorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly event: AnswerEvent;
}

export function json(status: number, value: unknown, event: AnswerEvent): SimulatorAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json;charset=UTF-8', 'cache-control': 'no-store' },
    body: JSON.stringify(value),
    event,
  };
}

export function html(status: number, markup: string, event: AnswerEvent): SimulatorAnswer {
  return {
    status,
    headers: {
      'content-type': 'text/html;charset=UTF-8',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    },
    body: markup,
    event,
  };
}

export function redirect(location: string, event: AnswerEvent): SimulatorAnswer {
  return { status: 302, headers: { location, 'cache-control': 'no-store' }, body: '', event };
}

/** Adds parameters to a URI and keeps those it has (RFC 6749 section 3.1.2). */
export function withQuery(uri: string, parameters: Iterable<readonly [string, string]>): string {
  const query = new URLSearchParams();
  for (const [name, value] of parameters) query.append(name, value);
  return `${uri}${uri.includes('?') ? '&' : '?'}${query.toString()}`;
}
