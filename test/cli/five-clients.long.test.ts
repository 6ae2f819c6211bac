/**
 * Five clients come from env files with mistakes in them to green health, with the words of docs/zoho.md: a wrong data centre, a
 * misspelt scope, a missing secret, a sandbox and a client in Europe.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished, test } from 'vitest';
import { builtInProvider } from '../../src/providers/catalogue.ts';
import { demoClient, startSimulator } from '../../src/simulator/index.ts';
import { Home } from './grantry.ts';
import { parseScript, runScript } from './script.ts';

const clientOf = `ZOHO_CLIENT_ID=$CLIENT
ZOHO_CLIENT_SECRET=$SECRET`;

const first = `
+ clients/globex.env
ZOHO_DC=com
${clientOf}
ZOHO_REFRESH_TOKEN=$GLOBEX

+ clients/.env.acme
ZOHO_DC=us
${clientOf}
ZOHO_REFRESH_TOKEN=$ACME

+ clients/acme-sandbox.env
ZOHO_DC=eu
${clientOf}
ZOHO_REFRESH_TOKEN=$SANDBOX
ZOHO_SANDBOX=true

+ clients/initech.env
${clientOf}
ZOHO_REFRESH_TOKEN=$INITECH
ZOHO_SCOPES=ZohoCRM.modules.leads.READ,ZohoCRM.orgg.READ

+ clients/umbrella.env
ZOHO_CLIENT_ID=$CLIENT
ZOHO_REFRESH_TOKEN=$UMBRELLA

$ grantry init
...

$ grantry provider add $SIM/zoho.json
...

# A trial first: two mistakes are seen before anything is stored.
$ grantry import clients --tenant-from-name --dry-run
FILE                      TENANT        DC  APP                RESULT        DETAIL
clients/.env.acme         acme          us  acme-zoho          would import
clients/acme-sandbox.env  acme-sandbox  eu  acme-sandbox-zoho  would import
clients/globex.env        globex        us  globex-zoho        would import
clients/initech.env       initech       us  initech-zoho       would import
clients/umbrella.env      umbrella      us  umbrella-zoho      failed        clients/umbrella.env has no ZOHO_CLIENT_SECRET, [...]
! clients/initech.env: ZohoCRM.orgg.READ is not known. Did you mean ZohoCRM.org.READ?
! clients/initech.env: its list of scopes is not used. Correct it, and import the file again.
! ...
? 2
`;

const second = `
+ clients/initech.env
${clientOf}
ZOHO_REFRESH_TOKEN=$INITECH
ZOHO_SCOPES=ZohoCRM.modules.leads.READ,ZohoCRM.org.READ

+ clients/umbrella.env
${clientOf}
ZOHO_REFRESH_TOKEN=$UMBRELLA

$ grantry import clients --tenant-from-name
...
! 5 files, no failures.
! ...

# The third mistake is seen by the provider only.
$ grantry health
[...]
acme          zoho      default  provider_misconfigured  [...]  us  -            -               [...]If the tokens are of another data centre, correct dc in the grant's metadata.[...]
acme-sandbox  zoho      default  healthy                 [...]  eu  sandbox      Acme test (79)  -
globex        zoho      default  healthy                 [...]  us  -            Globex (81)     -
initech       zoho      default  healthy                 [...]  us  -            Initech (91)    -
umbrella      zoho      default  healthy                 [...]  us  -            Umbrella (95)   -
! 5 grants, 1 unhealthy.
? 6
`;

const third = `
+ clients/.env.acme
ZOHO_DC=eu
${clientOf}
ZOHO_REFRESH_TOKEN=$ACME

$ grantry import clients --tenant-from-name --replace
...
clients/.env.acme         acme          eu  acme-zoho          replaced
...

$ grantry health
[...]
acme          zoho      default  healthy  [...]  eu  -            Acme (71)       -
...
! 5 grants, all healthy.
! ...

$ grantry show globex zoho
...
token budget  1 of 10 in 600 s used, next at [...]
...
`;

test('five clients come to green health from files with mistakes in them', async () => {
  await using home = await Home.make();
  const simulator = await startSimulator({ profiles: ['zoho'], dataCenters: ['us', 'eu'], autoApprove: true });
  onTestFinished(() => simulator.close());
  const users = [
    { id: 'eva@acme.example', dc: 'eu', organizations: [{ id: '71', name: 'Acme' }] },
    { id: 'sandy@acme.example', dc: 'eu', organizations: [{ id: '79', name: 'Acme test', environment: 'sandbox' }] },
    { id: 'gil@globex.example', dc: 'us', organizations: [{ id: '81', name: 'Globex' }] },
    { id: 'ina@initech.example', dc: 'us', organizations: [{ id: '91', name: 'Initech' }] },
    { id: 'uma@umbrella.example', dc: 'us', organizations: [{ id: '95', name: 'Umbrella' }] },
  ] as const;
  for (const user of users) simulator.registry.addUser(user);
  const SIM = join(home.path, 'simulator');
  await mkdir(SIM);
  const zoho = builtInProvider('zoho');
  if (zoho !== null) await writeFile(join(SIM, 'zoho.json'), JSON.stringify(simulator.rewrite(zoho)));
  const scopes = ['ZohoCRM.modules.leads.READ', 'ZohoCRM.org.READ'];
  const tokenOf = (user: string) => simulator.mintTokens({ clientId: demoClient.clientId, user, scopes }).refreshToken;
  const [eva, sandy, gil, ina, uma] = users;
  const variables = {
    SIM,
    HOME: home.path,
    CLIENT: demoClient.clientId,
    SECRET: demoClient.secret ?? '',
    ACME: tokenOf(eva.id),
    SANDBOX: tokenOf(sandy.id),
    GLOBEX: tokenOf(gil.id),
    INITECH: tokenOf(ina.id),
    UMBRELLA: tokenOf(uma.id),
  };
  // Each part begins with the files as the person has corrected them.
  for (const part of [first, second, third]) await runScript(parseScript(part), home, variables);
});
