import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { readSmallFile } from './files.ts';
import { usageError } from './terminal/errors.ts';
import { decodeText, promptLine, readStdin } from './terminal/prompt.ts';

/** The data centre of a secret (`*` for all) and its file (`-` for standard input). */
export interface SecretSource {
  readonly dc: string;
  readonly file: string;
}

/** The key of the secret for all data centres without one of their own. */
export const everyDataCenter = '*';

/** Parses the values of `--client-secret-file [DC=]FILE`. @throws {GrantryError} `invalid_request` */
export function parseSecretSources(values: readonly string[]): readonly SecretSource[] {
  const sources = values.map((value) => {
    const prefix = /^([a-z][a-z.]{0,31})=(.+)$/s.exec(value);
    const dc = prefix?.[1];
    const file = prefix?.[2];
    return dc === undefined || file === undefined ? { dc: everyDataCenter, file: value } : { dc, file };
  });
  if (new Set(sources.map((source) => source.dc)).size < sources.length) {
    throw usageError(
      '--client-secret-file names the same data centre twice.',
      'Pass one file per data centre: --client-secret-file eu=FILE.',
    );
  }
  if (sources.filter((source) => source.file === '-').length > 1) {
    throw usageError(
      'Only one --client-secret-file can be -, since standard input is read once.',
      'Use files for the others.',
    );
  }
  return sources;
}

/** Reads the secrets, by data centre. @throws {GrantryError} `invalid_request`, `payload_too_large` */
export async function readSecrets(sources: readonly SecretSource[]): Promise<Record<string, Secret>> {
  const secrets: Record<string, Secret> = {};
  for (const { dc, file } of sources) {
    const text =
      file === '-'
        ? await readStdin('client secret', limits.clientSecretCharsMax)
        : decodeText(await readSmallFile(file, limits.clientSecretCharsMax), file);
    secrets[dc] = toSecret(text, file === '-' ? 'Standard input' : file);
  }
  return secrets;
}

/** Asks for one secret for all data centres. */
export async function promptSecret(clientName: string): Promise<Record<string, Secret>> {
  return {
    [everyDataCenter]: toSecret(await promptLine(`Client secret of ${clientName}: `, { secret: true }), 'The prompt'),
  };
}

function toSecret(text: string, subject: string): Secret {
  const trimmed = text.trim();
  if (trimmed === '')
    throw usageError(`${subject} is empty and holds no client secret.`, 'Put the client secret into it.');
  return new Secret(trimmed);
}
