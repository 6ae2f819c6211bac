import { once } from 'node:events';
import type { Command } from 'commander';
import { parseExactly } from '../../base/exact-json.ts';
import { checkKey } from '../../base/ids.ts';
import { type Context, contextOf, openContextVault } from '../context.ts';
import { readSmallFile } from '../files.ts';
import { collect, epilogue } from '../options.ts';
import { actedTenant, anywayOption } from '../tenant-guard.ts';
import { usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { readStdinBytes } from '../terminal/prompt.ts';

interface CallOptions {
  data?: string;
  header?: string[];
  account?: string;
  anyway?: boolean;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** The body is held in memory, so that the call can be repeated with a new token. */
const bodyBytesMax = 67_108_864;
/** The vault or the connection sets these. */
const reservedHeaders = ['authorization', 'cookie', 'host', 'content-length', 'transfer-encoding', 'connection'];

export function define(command: Command): void {
  command
    .description(
      "Makes an API call with the grant's token and prints the body of the answer. When the API refuses the token, the token " +
        'is refreshed and the call repeated, once. The body of an error is printed as well; the exit code is then 1.',
    )
    .argument('<tenant>', 'the tenant, or . for the current one')
    .argument('<provider>', 'the provider, such as zoho_crm')
    .argument('<method>', methods.join(', '))
    .argument('<path>', "a path, or a URL on one of the provider's hosts")
    .option('-d, --data <body>', 'the body; @FILE reads a file, - standard input')
    .option(
      '-H, --header <header>',
      "a header, such as 'Accept: application/json'; may be given several times",
      collect,
    )
    .option('--account <name>', 'the account, when the tenant has several at this provider')
    .option(...anywayOption)
    .addHelpText(
      'after',
      epilogue(`Examples:
  grantry call acme zoho_crm GET '/crm/v8/Leads?fields=Last_Name'
  grantry call acme zoho_crm POST /crm/v8/Leads -d @lead.json`),
    )
    .action(async (tenant: string, provider: string, method: string, path: string, options: CallOptions) =>
      call(contextOf(command), { tenant, provider, method, path, options }),
    );
}

async function call(
  context: Context,
  given: { tenant: string; provider: string; method: string; path: string; options: CallOptions },
): Promise<void> {
  const { path, options } = given;
  const method = given.method.toUpperCase();
  if (!methods.includes(method))
    throw usageError(`Unknown method ${JSON.stringify(method.slice(0, 16))}.`, `Use one of ${methods.join(', ')}.`);
  const reading = method === 'GET' || method === 'HEAD';
  if (reading && options.data !== undefined) throw usageError(`${method} takes no body.`, 'Leave -d out, or use POST.');
  const headers = parseHeaders(options.header ?? []);
  const tenant = actedTenant(context, given.tenant, { anyway: options.anyway, changes: !reading });
  const key = checkKey({ tenant, provider: given.provider, account: options.account });
  const body = options.data === undefined ? undefined : await readBody(options.data);
  if (body !== undefined && !headers.has('content-type') && isJson(body))
    headers.set('content-type', 'application/json');
  await using vault = await openContextVault(context, {}, { light: true });
  const response = await withProgress(context.world, 'Waiting for the API', () =>
    vault.fetch(key, path, { method, headers, body }),
  );
  if (context.output.json) await printAsJson(context, response);
  else await printBody(response);
  if (!response.ok) {
    context.output.note(`grantry: the API answered ${response.status}.`);
    process.exitCode = 1;
  }
}

function parseHeaders(values: readonly string[]): Headers {
  const headers = new Headers();
  for (const value of values) {
    const [, name, content] =
      /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):\s*([\t\x20-\x7e\x80-\xff]{0,8192})$/.exec(value) ?? [];
    if (name === undefined || content === undefined)
      throw usageError('A header is not valid.', "Write it as 'Name: value'.");
    if (reservedHeaders.includes(name.toLowerCase())) {
      throw usageError(`The header ${name} cannot be given, since Grantry sets it.`, 'Leave it out.');
    }
    headers.append(name, content.trim());
  }
  return headers;
}

async function readBody(data: string): Promise<Uint8Array> {
  if (data === '-') return readStdinBytes('body', bodyBytesMax);
  if (data.startsWith('@')) return readSmallFile(data.slice(1), bodyBytesMax);
  return Buffer.from(data);
}

function isJson(body: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(body).toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

/** Prints the bytes as they arrive, no faster than they are read. */
async function printBody(response: Response): Promise<void> {
  if (response.body === null) return;
  let last: number | undefined;
  for await (const chunk of response.body) {
    if (process.stdout.destroyed) return;
    last = chunk.at(-1);
    if (!process.stdout.write(chunk))
      await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]);
  }
  // Keeps the prompt on its own line; a file or a pipe gets only the body.
  if (process.stdout.isTTY && last !== undefined && last !== 0x0a) process.stdout.write('\n');
}

async function printAsJson(context: Context, response: Response): Promise<void> {
  const text = await response.text();
  let body: unknown = text;
  try {
    // Printed again, so each number keeps its digits.
    body = parseExactly(text);
  } catch {
    // It is not JSON, and is shown as text.
  }
  context.output.printJson({ status: response.status, headers: Object.fromEntries(response.headers), body });
}
