import type { ServerResponse } from 'node:http';
import { limits } from '../../base/limits.ts';
import type { ProxiedAnswer } from '../../vault/api/proxied-call.ts';
import { responseHeaders } from './headers.ts';
import type { Watched } from './watch.ts';

/**
 * Passes a provider's answer on, no faster than the caller reads it. Resolves when the answer ended or failed.
 *
 * @param ofPage headers for the page that calls: names and values in turn
 *
 * When the provider's answer breaks off, the caller's connection is cut: the answer must not look complete.
 */
export function relay(
  answer: ProxiedAnswer,
  response: ServerResponse,
  watched: Watched,
  ofPage: readonly string[],
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { status, head, rest } = answer;
  response.once('close', () => {
    rest?.on('error', () => {}).destroy();
    resolve();
  });
  if (response.destroyed) {
    rest?.on('error', () => {}).destroy();
    return Promise.resolve();
  }
  watched.answerBegan();
  response.writeHead(status, [...responseHeaders(answer), ...ofPage]);
  if (rest === null) {
    response.end(Buffer.concat(head));
    return promise;
  }
  for (const chunk of head) response.write(chunk);
  let bytes = 0;
  rest.on('data', (chunk: Uint8Array) => {
    watched.touch();
    bytes += chunk.length;
    if (bytes > limits.proxyBodyBytesMax) return response.destroy();
    if (!response.write(chunk)) rest.pause();
    return undefined;
  });
  response.on('drain', () => {
    watched.touch();
    rest.resume();
  });
  rest.once('end', () => response.end());
  rest.on('error', () => response.destroy());
  rest.once('close', () => {
    if (!rest.readableEnded) response.destroy();
  });
  return promise;
}
