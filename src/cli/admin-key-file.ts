import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { secretFileFault } from '../base/secret-file.ts';

/** Reads the first admin key from its file. @throws {GrantryError} `invalid_request` for a file that others could read or write */
export function readAdminKeyFile(path: string | undefined): Secret | undefined {
  if (path === undefined) return undefined;
  const file = openSync(path, constants.O_RDONLY | (process.platform === 'win32' ? 0 : constants.O_NONBLOCK));
  try {
    const state = fstatSync(file);
    if (!state.isFile()) throw refusal(path, 'is not a regular file', 'Name a file that holds nothing but the key.');
    const fault = secretFileFault(path, state);
    if (fault !== undefined) throw refusal(path, fault.what, fault.action);
    if (state.size > limits.apiKeyCharsMax) throw refusal(path, 'holds more than a key', keyForm);
    const text = readFileSync(file, 'utf8').trim();
    if (text === '') throw refusal(path, 'is empty', keyForm);
    return new Secret(text);
  } finally {
    closeSync(file);
  }
}

const keyForm = 'Put a key into it: gry_ and at least 32 random characters of a-z A-Z 0-9 _ -.';

function refusal(path: string, what: string, action: string): GrantryError {
  return new GrantryError('invalid_request', `The admin key file ${path} ${what}.`, { action });
}
