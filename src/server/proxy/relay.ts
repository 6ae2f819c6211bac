import type { ServerResponse } from 'node:http';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { brokenOff } from '../../base/network/platform-response.ts';
import type { ProxiedAnswer } from '../../vault/api/proxied-call.ts';
import { responseHeaders } from './headers.ts';
import type { Watched } from './watch.ts';

/**
 * Passes a provider's answer on, no faster than the caller reads it. Resolves when the answer ended or failed.
 *
 * @param ofPage headers for the page that calls: names and values in turn
 *
 * When the provider's answer breaks off, the caller's connection is cut: the answer must not look complete.
 *
 * @throws {GrantryError} `provider_error`, `provider_unavailable` if the answer fails before its body begins
 */
export function relay(
  answer: ProxiedAnswer,
  response: ServerResponse,
  watched: Watched,
  ofPage: readonly string[],
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
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
  // The headers go out with the first bytes of the body. Until then a failure still has a status of its own.
  const begin = (): void => {
    if (!response.headersSent) response.writeHead(status, [...responseHeaders(answer), ...ofPage]);
  };
  if (rest === null) {
    begin();
    response.end(Buffer.concat(head));
    return promise;
  }
  const fail = (error: unknown): void => {
    if (response.headersSent) response.destroy();
    else reject(error instanceof GrantryError ? error : brokenOff("The provider's API", error));
  };
  if (head.length > 0) begin();
  for (const chunk of head) response.write(chunk);
  let bytes = 0;
  rest.on('data', (chunk: Uint8Array) => {
    watched.touch();
    bytes += chunk.length;
    if (bytes > limits.proxyBodyBytesMax) return response.destroy();
    begin();
    if (!response.write(chunk)) rest.pause();
    return undefined;
  });
  response.on('drain', () => {
    watched.touch();
    rest.resume();
  });
  rest.once('end', () => {
    begin();
    response.end();
  });
  rest.on('error', fail);
  rest.once('close', () => {
    if (!rest.readableEnded) fail(rest.errored);
  });
  // It may have failed before anybody listened.
  if (rest.destroyed && !rest.readableEnded) fail(rest.errored);
  return promise;
}
