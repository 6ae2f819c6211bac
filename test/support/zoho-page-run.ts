/**
 * Runs code blocks of a page about Zoho, one after the other, in a process whose Zoho is the simulator.
 * It prints a JSON list: what each block printed.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { registerHooks, syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { runInThisContext } from 'node:vm';
import { demoClient, startSimulator } from '../../src/simulator/index.ts';
import { zohoStage } from './zoho-stage.ts';

const source = (file: string): string => new URL(`../../src/${file}`, import.meta.url).href;
/** Exports what the library does, and opens the page's vault with any options. */
const library = `export * from '${source('index.ts')}'; export const openVault = (options) => globalThis.openPageVault(options);`;
const sources: Readonly<Record<string, string>> = {
  grantry: `data:text/javascript,${encodeURIComponent(library)}`,
  'grantry/zoho': source('adapters/zoho.ts'),
  'grantry/zoho-sdk': source('adapters/zoho-sdk.ts'),
};
registerHooks({
  resolve: (specifier, context, next) => {
    const url = sources[specifier];
    return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
  },
});

const stage = await zohoStage();
await using plain = await startSimulator({ profiles: ['zoho'], dataCenters: ['us'] });
plain.registry.addUser({ id: 'first@us.example', dc: 'us', orgName: 'First Company' });
plain.registry.addUser({ id: 'second@us.example', dc: 'us', orgName: 'Second Company' });
const meera = 'meera@eu.example';
stage.simulator.registry.addUser({
  id: meera,
  dc: 'eu',
  organizations: [
    { id: '71', name: 'Acme' },
    { id: '72', name: 'Acme Trading' },
    { id: '79', name: 'Acme test', environment: 'sandbox' },
  ],
});
turnSockets(new URL(plain.origins()['zoho/us'] ?? ''));
Object.assign(globalThis, {
  fetch: (url: string | URL, init?: RequestInit) => stage.simulator.fetch(new Request(url, init)),
  openPageVault: () => stage.open(),
});
const { configure } = await import('../../src/adapters/zoho.ts');
configure(stage.vault);

const mintPlain = (user: string): string =>
  plain.mintTokens({ clientId: demoClient.clientId, user, scopes: ['ZohoCRM.org.READ'] }).refreshToken;
const mintCode = (organization: string): string => {
  const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'];
  return stage.simulator.mintCode({
    clientId: demoClient.clientId,
    user: meera,
    scopes,
    organization,
    lifeSeconds: 600,
  });
};
const mintBooks = (): string =>
  stage.simulator.mintTokens({ clientId: demoClient.clientId, user: meera, scopes: ['ZohoBooks.settings.READ'] })
    .refreshToken;
Object.assign(process.env, {
  CODE_FOR_ANOTHER: mintCode('72'),
  CODE_FOR_ACME: mintCode('71'),
  CODE_FOR_SANDBOX: mintCode('79'),
  BOOKS_REFRESH_TOKEN: mintBooks(),
  ZOHO_CLIENT_ID: demoClient.clientId,
  ZOHO_CLIENT_SECRET: demoClient.secret,
  ZOHO_REFRESH_TOKEN: stage.mint('us').refreshToken,
  ACME_REFRESH_TOKEN: stage.mint('us').refreshToken,
  UMBRELLA_REFRESH_TOKEN: stage.mint('eu').refreshToken,
  FIRST_REFRESH_TOKEN: mintPlain('first@us.example'),
  SECOND_REFRESH_TOKEN: mintPlain('second@us.example'),
  ...process.env,
});
const temporary = mkdtempSync(path.join(tmpdir(), 'zoho-page-'));
process.env['TMPDIR'] = temporary;

const printed: string[] = [];
for (const file of process.argv.slice(2)) {
  const lines: string[] = [];
  console.log = (...values: unknown[]) => {
    lines.push(values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' '));
  };
  try {
    await runBlock(file);
  } catch (error) {
    lines.push(`thrown: ${inspect(error)}`);
  }
  printed.push(lines.join('\n'));
}
rmSync(temporary, { recursive: true, force: true });
await stage[Symbol.asyncDispose]();
await plain.close();
process.stdout.write(JSON.stringify(printed), () => process.exit(0));

/** Plain JavaScript shares its names with the blocks before, as code in one file does; a module stands by itself. */
async function runBlock(file: string): Promise<void> {
  if (file.endsWith('.ts')) {
    await import(pathToFileURL(file).href);
    return;
  }
  // The last statement of a block is what it waits for.
  await runInThisContext(readFileSync(file, 'utf8'), { filename: file });
}

/** Turns the sockets of Zoho's SDK to the simulator; everything above them is the SDK's own. */
function turnSockets(to: URL): void {
  const request = (url: URL, options: http.RequestOptions, answered?: (answer: http.IncomingMessage) => void) => {
    const { agent: _agent, ...rest } = options;
    const place = { protocol: 'http:', hostname: to.hostname, host: to.hostname, port: to.port };
    return http.request({ ...rest, ...place, path: url.pathname + url.search }, answered);
  };
  Object.assign(https, { request });
  syncBuiltinESMExports();
}
