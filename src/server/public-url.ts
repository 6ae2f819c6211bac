import { GrantryError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isPrivateUrl } from '../base/network/loopback.ts';

/** @throws {GrantryError} `invalid_request` for an address whose links would carry codes in the clear, or lead nowhere */
export function checkPublicUrl(text: string | undefined): string | undefined {
  if (text === undefined || (URL.canParse(text) && isPrivateUrl(new URL(text)))) return text;
  throw new GrantryError('invalid_request', 'The public URL must be https, or http on a loopback address.', {
    action: 'Name the URL at which users reach this server.',
  });
}

/**
 * The base of links when no public URL is named: the server's own address. A server that listens at `0.0.0.0` or on a
 * network gets the loopback address instead, since links with http must not leave the machine.
 */
export function ownPublicUrl(url: string, logger: Logger): string {
  const address = new URL(url);
  if (isPrivateUrl(address)) return url;
  const publicUrl = `http://127.0.0.1:${address.port === '' ? '80' : address.port}`;
  logger.warn('no public URL is named: connect links and redirect URIs work on this machine only', {
    public_url: publicUrl,
    action: 'Set GRANTRY_PUBLIC_URL to the https URL at which users reach this server.',
  });
  return publicUrl;
}
