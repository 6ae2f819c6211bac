/**
 * `npm run demo`: the main job from end to end. The built program runs as separate processes, with the embedded
 * database in a temporary home. The simulator plays Zoho, in a process too. Every step checks its claim; a failed check
 * ends the demo with exit code 1.
 */
import { globSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { z } from 'zod';
import { freePort } from '../test/support/free-port.ts';
import { browse } from './demo/browser.ts';
import { buildIfNeeded } from './demo/program.ts';
import { isSo, NotProven, Report, same, seconds } from './demo/report.ts';
import { SimulatedZoho } from './demo/simulator.ts';
import { Stage } from './demo/stage.ts';
import { requirePackages } from './steps.ts';

/** The three customers of the demo; another program obtained the token of the third. */
const acme = { tenant: 'acme', provider: 'zoho_crm', app: 'zoho-eu', dc: 'eu' };
const globex = { tenant: 'globex', provider: 'zoho_crm', app: 'zoho-us', dc: 'us' };
const initech = { tenant: 'initech', provider: 'zoho', app: 'initech-zoho', dc: 'au' };
const scopes = ['ZohoCRM.org.READ', 'ZohoCRM.modules.ALL'];

type Customer = typeof acme;

requirePackages();
const report = new Report();
const stage = new Stage();
/** Every token and secret of the demo: no file may contain one in the clear. */
const secrets: string[] = [];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    report.silence();
    void stage.close().finally(() => process.exit(130));
  });
}
try {
  await demo();
  process.stdout.write(`\n${report.summary()}\n`);
} catch (error) {
  if (!report.silent && !(error instanceof NotProven) && error instanceof Error) {
    process.stderr.write(`${error.stack}\n${error.cause instanceof Error ? `because: ${error.cause.message}\n` : ''}`);
  }
  process.exitCode = 1;
} finally {
  await stage.close();
}

async function demo(): Promise<void> {
  await report.step('program', async () => ((await buildIfNeeded()) ? 'built' : 'already built and up to date'));
  const zoho = await startZoho();
  await makeHome(zoho);
  const redirectUri = `http://127.0.0.1:${await freePort()}/callback`;
  await addApps(zoho, redirectUri);
  for (const customer of [acme, globex]) await connect(zoho, customer, redirectUri);
  await importOld(zoho);
  await handOut(zoho);
  await callWithDeadToken(zoho);
  await killTheRefresher(zoho);
  await readTheDisk();
  await list();
}

async function startZoho(): Promise<SimulatedZoho> {
  let zoho: SimulatedZoho | undefined;
  await report.step('simulator', async () => {
    zoho = await SimulatedZoho.start(stage, ['eu', 'us', 'au']);
    const ports = ['eu', 'us', 'au'].map((dc) => `${dc} at ${new URL(zoho?.origin(dc) ?? '').host}`);
    return `Zoho as process ${zoho.process.process.pid}: ${ports.join(', ')}`;
  });
  if (zoho === undefined) throw new Error('the simulator did not start');
  return zoho;
}

async function makeHome(zoho: SimulatedZoho): Promise<void> {
  await report.step('init', async () => {
    await stage.grantry(['init']);
    const [database, rootKey] = ['grantry.db', 'root.key'].map((name) => statSync(path.join(stage.home, name)));
    same('the database is a file', database?.isFile(), true);
    // Windows has no such bits.
    if (process.platform !== 'win32') same('only its owner reads the root key', (rootKey?.mode ?? 0) & 0o777, 0o600);
    return 'a home with its database, and a root key that only its owner may read';
  });
  await report.step('provider add', async () => {
    for (const id of ['zoho_crm', 'zoho']) await stage.grantry(['provider', 'add', zoho.definitions[id] ?? '']);
    const shown = await stage.grantry(['provider', 'show', 'zoho_crm', '--json']);
    const { dataCenters } = z.object({ dataCenters: z.record(z.string(), z.unknown()) }).parse(JSON.parse(shown));
    same('the data centres of zoho_crm', Object.keys(dataCenters).toSorted(), ['au', 'eu', 'us']);
    return 'zoho_crm and zoho only refer to the simulator';
  });
}

async function addApps(zoho: SimulatedZoho, redirectUri: string): Promise<void> {
  for (const [customer, from] of [
    [acme, 'a file'],
    [globex, 'standard input'],
  ] as const) {
    await report.step('app add', async () => {
      const { app, dc, provider } = customer;
      const secret = keep(`${dc}-client-secret-of-the-demo`);
      await zoho.register(clientIdOf(dc), secret, dc, redirectUri);
      const file = path.join(stage.folder, `${dc}.secret`);
      writeFileSync(file, `${secret}\n`, { mode: 0o600 });
      const secretFrom = from === 'a file' ? [file] : ['-'];
      const options = [
        '--provider',
        provider,
        '--client-id',
        clientIdOf(dc),
        '--dc',
        dc,
        '--redirect-uri',
        redirectUri,
      ];
      const asked = scopes.flatMap((scope) => ['--scope', scope]);
      await stage.grantry(['app', 'add', app, ...options, ...asked, '--client-secret-file', ...secretFrom], secret);
      const shown = await stage.grantry(['app', 'show', app, '--json']);
      isSo(`the secret of ${app} is never shown`, !shown.includes(secret));
      return `${app} for the ${dc.toUpperCase()} data centre, its secret from ${from}`;
    });
  }
}

async function connect(zoho: SimulatedZoho, customer: Customer, redirectUri: string): Promise<void> {
  const { tenant, provider, app, dc } = customer;
  await report.step('connect', async () => {
    const before = await zoho.now();
    const waiting = stage.start(['connect', tenant, provider, '--app', app, '--no-open']);
    const [address] = await waiting.written('stderr', /http:\S+/);
    const asked = new URL(address).searchParams;
    same('the PKCE method', asked.get('code_challenge_method'), 'S256');

    const forged = await fetch(`${redirectUri}?code=stolen&state=another-${tenant}`);
    same('the answer to a forged callback', forged.status, 400);

    const { addresses, status } = await browse(address);
    const callback = addresses.at(-1);
    same('where the browser stayed', `${callback?.origin}${callback?.pathname}`, redirectUri);
    const { code, stderr } = await waiting.ended;
    if (code !== 0) throw new NotProven('connect', 'exit code 0', `${code}: ${stderr.trim()}`);
    same('the status of the page at the end', status, 200);
    same('the state that came back', callback?.searchParams.get('state'), asked.get('state'));
    same('accounts-server in the callback', callback?.searchParams.get('accounts-server'), zoho.origin(dc));
    // The two calls read the organisation and the user of the token.
    const expected = ['authorize code', 'token authorization_code issued', 'api ok', 'api ok'];
    same('what Zoho was asked', await zoho.wordsSince(before), expected);
    same('the data centre of the exchange', (await zoho.since(before)).at(-1)?.dc, dc);
    same('the data centre of the grant', (await grantOf(customer)).dc, dc);
    return `${tenant}: code flow with PKCE; accounts-server said ${dc}; a forged callback changed nothing`;
  });
}

async function importOld(zoho: SimulatedZoho): Promise<void> {
  await report.step('import', async () => {
    const { tenant, dc } = initech;
    const secret = keep('au-client-secret-of-the-demo');
    await zoho.register(clientIdOf(dc), secret, dc, 'http://127.0.0.1:1/unused');
    const refreshToken = keep(await zoho.oldRefreshToken(clientIdOf(dc), 'user@au.example', scopes));
    const file = path.join(stage.folder, `${tenant}.env`);
    const lines = ['ZOHO_DC=com.au', `ZOHO_CLIENT_ID=${clientIdOf(dc)}`, `ZOHO_CLIENT_SECRET=${secret}`];
    writeFileSync(file, [...lines, `ZOHO_REFRESH_TOKEN=${refreshToken}`, 'ZOHO_ORG_ID=700001', ''].join('\n'));
    await stage.grantry(['import', file, '--tenant', tenant]);
    const grant = await grantOf(initech);
    same('the grant of the env file', { app: grant.app, dc: grant.dc }, { app: initech.app, dc });
    return `${tenant}: an env file with ZOHO_DC=com.au became a grant in au and an app of its own`;
  });
}

async function handOut(zoho: SimulatedZoho): Promise<void> {
  await report.step('token', async () => {
    const before = await zoho.now();
    for (const customer of [acme, globex, initech, acme, globex, initech]) {
      const token = keep(await tokenOf(customer));
      const name = await zoho.organization(customer.dc, token);
      same(`the organisation behind ${customer.tenant}`, name, `Example Company ${customer.dc.toUpperCase()}`);
    }
    const asked = (await zoho.since(before)).filter(({ kind }) => kind === 'token').map(({ dc }) => dc);
    same('where a token had to be fetched', asked, ['au']);
    return '3 customers twice: each API took its token, and only the imported grant needed a refresh, one';
  });
}

async function callWithDeadToken(zoho: SimulatedZoho): Promise<void> {
  await report.step('call', async () => {
    isSo('the simulator knows the token', await zoho.kill(await tokenOf(acme)));
    const before = await zoho.now();
    const body = await stage.grantry(['call', acme.tenant, acme.provider, 'GET', '/crm/v8/org']);
    isSo('the body is that of the organisation', body.includes('"company_name":"Example Company EU"'));
    const expected = ['api token_refused', 'token refresh_token issued', 'api ok'];
    same('what Zoho was asked', await zoho.wordsSince(before), expected);
    keep(await tokenOf(acme));
    return 'acme: the API refused an expired token; one refresh, one replay, and the answer';
  });
}

async function killTheRefresher(zoho: SimulatedZoho): Promise<void> {
  await report.step('kill -9', async () => {
    const { tenant, provider, dc } = globex;
    const dead = await tokenOf(globex);
    isSo('the simulator knows the token', await zoho.kill(dead));
    const { generation } = await grantOf(globex);
    const refused = ['token', tenant, provider, '--rejected', String(generation)];
    await zoho.delayNextRefresh(dc, 20_000);
    const before = await zoho.now();

    const victim = stage.start(refused);
    await until('Zoho has granted the refresh', async () => (await zoho.since(before)).length > 0);
    victim.process.kill('SIGKILL');
    const { stdout } = await victim.ended;
    same('what the killed process had printed', stdout, '');

    const killed = performance.now();
    const token = keep(await stage.grantry(refused));
    const recovery = performance.now() - killed;
    same('the organisation behind globex', await zoho.organization(dc, token), 'Example Company US');
    const issued = 'token refresh_token issued';
    same('what Zoho was asked', await zoho.wordsSince(before), [issued, issued, 'api ok']);
    same('the generation', (await grantOf(globex)).generation, generation + 1);
    const pid = victim.process.pid;
    return `globex: process ${pid} died in its refresh; the next caller had a token after ${seconds(recovery)}, 2 requests in all`;
  });
}

async function readTheDisk(): Promise<void> {
  await report.step('at rest', async () => {
    const files = globSync('**/*', { cwd: stage.home }).map((name) => path.join(stage.home, name));
    const contents = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file));
    // Finds a name that may be in the clear, as proof that the search reads the right files.
    isSo(
      'the search finds a name that is stored in the clear',
      contents.some((content) => content.includes(globex.tenant)),
    );
    const known = [...new Set(secrets)];
    const found = known.filter((secret) => contents.some((content) => content.includes(secret)));
    same('tokens and secrets in the clear', found.length, 0);
    return `${known.length} tokens and secrets were used; none is in the clear in the home's ${contents.length} files`;
  });
}

async function list(): Promise<void> {
  await report.step('list', async () => {
    const grants = z
      .array(z.object({ tenant: z.string(), state: z.string(), dc: z.string(), generation: z.number() }))
      .parse(JSON.parse(await stage.grantry(['list', '--json'])));
    const expected = [acme, globex, initech].map(({ tenant, dc }) => `${tenant} ${dc} active 2`);
    const seen = grants.map(({ tenant, dc, state, generation }) => `${tenant} ${dc} ${state} ${generation}`);
    same('the grants', seen.toSorted(), expected);
    const table = await stage.grantry(['list']);
    return ['three grants, all active:', ...table.split('\n')];
  });
}

async function grantOf({ tenant, provider }: Customer): Promise<{ app: string; dc: string; generation: number }> {
  const shown = await stage.grantry(['show', tenant, provider, '--json']);
  return z.object({ app: z.string(), dc: z.string(), generation: z.number() }).parse(JSON.parse(shown));
}

async function tokenOf({ tenant, provider }: Customer): Promise<string> {
  return stage.grantry(['token', tenant, provider]);
}

function clientIdOf(dc: string): string {
  return `1000.DEMO${dc.toUpperCase()}`;
}

/** Remembers a token or secret for the search on the disk. */
function keep(secret: string): string {
  secrets.push(secret);
  return secret;
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await isTrue())) {
    if (performance.now() > end) throw new NotProven(what, 'within 15 s', 'not yet');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
