/** Reads along what a provider in this process is sent and answers, and takes the secrets out of it. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Needles, SecretKind } from './needles.ts';

const sent: Readonly<Record<string, SecretKind>> = {
  client_secret: 'client secret',
  code: 'authorization code',
  code_verifier: 'code verifier',
  refresh_token: 'refresh token',
};

const answered: Readonly<Record<string, SecretKind>> = {
  access_token: 'access token',
  refresh_token: 'refresh token',
};

/** Listens to every HTTP server of this process until it is disposed of. */
export function readAlong(needles: Needles): Disposable {
  const listen = (message: unknown): void => {
    // The channel's own form.
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    const chunks: Buffer[] = [];
    const push = request.push.bind(request);
    request.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (Buffer.isBuffer(chunk)) chunks.push(chunk);
      if (chunk === null) noteForm(needles, Buffer.concat(chunks).toString('utf8'));
      return push(chunk, encoding);
    };
    const told: Uint8Array[] = [];
    const note = (chunk: unknown): void => {
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) told.push(Buffer.from(chunk));
    };
    const write = response.write.bind(response);
    const end = response.end.bind(response);
    Object.assign(response, {
      write: (...all: unknown[]): unknown => {
        note(all[0]);
        return Reflect.apply(write, response, all);
      },
      end: (...all: unknown[]): unknown => {
        note(all[0]);
        noteAnswer(needles, Buffer.concat(told).toString('utf8'));
        return Reflect.apply(end, response, all);
      },
    });
  };
  subscribe('http.server.request.start', listen);
  return { [Symbol.dispose]: () => void unsubscribe('http.server.request.start', listen) };
}

function noteForm(needles: Needles, body: string): void {
  for (const [name, value] of new URLSearchParams(body)) {
    const kind = sent[name];
    if (kind !== undefined) needles.add(kind, value);
  }
}

function noteAnswer(needles: Needles, body: string): void {
  for (const [name, kind] of Object.entries(answered)) {
    for (const [, value] of body.matchAll(new RegExp(`"${name}":\\s*"([^"]{16,})"`, 'g'))) needles.add(kind, value);
  }
}
