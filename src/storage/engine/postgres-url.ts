import { accessSync, constants } from 'node:fs';
import { invalidRequest } from '../../base/errors.ts';
import { systemCodeOf } from '../../base/system-error.ts';

const files = ['sslrootcert', 'sslcert', 'sslkey'];

/**
 * Prepares the URL of a server for the driver.
 *
 * The driver reads `prefer`, `require` and `verify-ca` as `verify-full`, and warns of it in many lines each time. Grantry
 * says `verify-full` itself: a certificate is always checked unless `sslmode` is `disable` or `no-verify`.
 *
 * @throws {GrantryError} `invalid_request` for a password with unescaped signs, which would name another host, and for a
 * file that cannot be read
 */
export function connectionUrl(text: string): string {
  const [place = ''] = text.split('?');
  if (text.includes('#') || place.split('@').length > 2) {
    throw invalidRequest('The database URL has a password with signs that must be escaped.', {
      action: 'Write @ / # ? % in it as %40 %2F %23 %3F %25, or leave it out and set PGPASSWORD.',
    });
  }
  const url = new URL(text);
  for (const name of files) checkFile(name, url.searchParams.get(name));
  const mode = url.searchParams.get('sslmode');
  if (url.searchParams.get('uselibpqcompat') === 'true') {
    if (mode === 'verify-ca' && url.searchParams.get('sslrootcert') === null) {
      throw invalidRequest('sslmode=verify-ca needs the certificate of an issuer.', {
        action: 'Add sslrootcert=FILE to the database URL, or use sslmode=verify-full.',
      });
    }
    return text;
  }
  return mode === null ? text : text.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/, '$1verify-full');
}

function checkFile(name: string, path: string | null): void {
  if (path === null || path === '' || path === 'system') return;
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw invalidRequest(`The file that ${name} names cannot be read (${systemCodeOf(error) ?? 'no code'}).`, {
      action: `Correct ${name} in the database URL, or make the file readable for this user.`,
      cause: error,
    });
  }
}
