import { gzipSync } from 'node:zlib';
import { type AnswerEvent, html, json, type SimulatorAnswer } from './http/answer.ts';
import { ConnectionResetError } from './http/errors.ts';
import { card } from './http/markup.ts';
import type { FaultEffect } from './state/faults.ts';
import type { Incoming } from './state/request.ts';
import { fingerprintOf } from './state/tokens.ts';
import { defaultThrottle, type ZohoSettings } from './state/zoho-settings.ts';
import { throttled } from './zoho/answers.ts';

/** Cut answers: the listener writes this part before it destroys the socket. */
export const cutAnswers = new WeakMap<Response, CutAnswer>();

export interface CutAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly half: Uint8Array;
}

/** Waits for some milliseconds; a simulation passes its own. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** Applies a fault before the server reads the request: returns an answer in its place, or `null` to go on. */
export async function applyBefore(
  effect: FaultEffect,
  incoming: Incoming,
  settings: ZohoSettings,
  sleep: Sleep,
  signal: AbortSignal,
): Promise<SimulatorAnswer | null> {
  const event = unprocessed(incoming);
  switch (effect.kind) {
    case 'delay':
      if (effect.when === 'before') await sleep(effect.ms, signal);
      return null;
    case 'status':
      return effect.when === 'before' ? statusAnswer(effect, event) : null;
    case 'html':
      return effect.when === 'before' ? html(effect.status ?? 200, outage, event) : null;
    case 'redirect':
      return { status: 302, headers: { location: effect.location }, body: '', event };
    case 'error':
      return json(
        effect.status ?? (incoming.site.zoho === null ? 400 : settings.errorStatus),
        {
          error: effect.error,
          ...(effect.description === undefined ? {} : { error_description: effect.description }),
        },
        { ...event, error: effect.error },
      );
    case 'throttle':
      return incoming.site.zoho === null
        ? json(429, { error: 'too_many_requests' }, { ...event, error: 'too_many_requests' })
        : throttled(settings.throttle === 'off' ? defaultThrottle : settings.throttle, event);
    default:
      return null;
  }
}

/** Applies a fault after the server has acted, and waits when it is a slow answer. */
export async function applyAfter(
  effect: FaultEffect,
  answer: SimulatorAnswer,
  sleep: Sleep,
  signal: AbortSignal,
): Promise<Response> {
  switch (effect.kind) {
    case 'delay':
      if (effect.when === 'after') await sleep(effect.ms, signal);
      return responseOf(answer);
    case 'status':
      return responseOf(effect.when === 'after' ? statusAnswer(effect, answer.event) : answer);
    case 'html':
      return responseOf(effect.when === 'after' ? html(effect.status ?? 200, outage, answer.event) : answer);
    case 'cut':
      return cut(answer);
    case 'huge':
      return new Response(padded(answer.body, effect.bytes), { status: answer.status, headers: answer.headers });
    case 'gzip_bomb':
      return new Response(gzipSync(Buffer.alloc(effect.bytes, 0x20)), {
        status: answer.status,
        headers: { ...answer.headers, 'content-encoding': 'gzip' },
      });
    case 'content_type':
      return responseOf({ ...answer, headers: { ...answer.headers, 'content-type': effect.value } });
    case 'surround':
      return responseOf({ ...answer, body: `${effect.before ?? ''}${answer.body}${effect.after ?? ''}` });
    case 'patch':
      return responseOf({ ...answer, body: patched(answer.body, effect.set ?? {}, effect.remove ?? []) });
    default:
      return responseOf(answer);
  }
}

export function responseOf(answer: SimulatorAnswer): Response {
  const bodyless = answer.status === 204 || answer.status === 304;
  return new Response(bodyless ? null : answer.body, { status: answer.status, headers: answer.headers });
}

/** Creates the event of a request that the server never processed; it still names the presented token. */
export function unprocessed(incoming: Incoming): AnswerEvent {
  const token = incoming.parameters.get('refresh_token') ?? incoming.parameters.get('token');
  const endpoint = incoming.endpoint ?? 'api';
  return {
    kind: endpoint === 'discovery' ? 'api' : endpoint,
    outcome: 'not_processed',
    grantType: incoming.parameters.get('grant_type') ?? undefined,
    clientId: incoming.clientId ?? undefined,
    token: token === null ? undefined : fingerprintOf(token),
    detail: `${incoming.method} ${incoming.url.pathname}`,
  };
}

/** Names an effect for the history: `reset after`, `delay before`, `cut`. */
export function nameOf(effect: FaultEffect): string {
  const detail = 'status' in effect && effect.kind === 'status' ? ` ${effect.status}` : '';
  return `${effect.kind}${detail}${'when' in effect ? ` ${effect.when}` : ''}`;
}

const outage = card('Service unavailable', '<p>We are doing some maintenance. Please come back in a few minutes.</p>');

function statusAnswer(effect: Extract<FaultEffect, { kind: 'status' }>, event: AnswerEvent): SimulatorAnswer {
  const headers = { 'content-type': effect.contentType ?? 'text/plain', ...effect.headers };
  return { status: effect.status, headers, body: effect.body ?? '', event };
}

/** Returns half of the body, then an error. */
function cut(answer: SimulatorAnswer): Response {
  const bytes = new TextEncoder().encode(answer.body);
  const half = bytes.subarray(0, Math.ceil(bytes.length / 2));
  let sent = false;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent) controller.error(new ConnectionResetError(true));
      else controller.enqueue(half);
      sent = true;
    },
  });
  const headers = { ...answer.headers, 'content-length': String(bytes.length) };
  const response = new Response(stream, { status: answer.status, headers });
  cutAnswers.set(response, { status: answer.status, headers, half });
  return response;
}

/**
 * Inserts spaces after the first brace: the JSON stays equal but becomes enormous. The spaces are generated while the
 * body is read.
 */
function padded(body: string, bytes: number): ReadableStream<Uint8Array> {
  const block = new Uint8Array(65_536).fill(0x20);
  const encoder = new TextEncoder();
  let left = bytes;
  let begun = false;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (!begun) {
        begun = true;
        controller.enqueue(encoder.encode(body.slice(0, 1)));
      } else if (left > 0) {
        controller.enqueue(left >= block.length ? block : block.subarray(0, left));
        left -= block.length;
      } else {
        controller.enqueue(encoder.encode(body.slice(1)));
        controller.close();
      }
    },
  });
}

function patched(body: string, set: Readonly<Record<string, unknown>>, remove: readonly string[]): string {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null) return body;
    const changed: Record<string, unknown> = { ...value, ...set };
    for (const name of remove) delete changed[name];
    return JSON.stringify(changed);
  } catch {
    return body;
  }
}
