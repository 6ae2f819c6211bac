import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, onTestFinished, test } from 'vitest';
import { builtInProvider, builtInProviderIds } from '../../src/providers/catalogue.ts';
import { demoClient, type RunningSimulator, startSimulator } from '../../src/simulator/index.ts';
import { freePort } from '../support/free-port.ts';
import { Home } from './grantry.ts';
import { parseScript, runScript } from './script.ts';

const directory = join(import.meta.dirname, 'scripts');
const scripts = (await readdir(directory)).filter((name) => name.endsWith('.txt')).sort();
const provided = ['strict', 'none'] as const;

/** Each session has providers of its own, which count the refresh tokens and requests of a user. */
const startProviders = (): Promise<RunningSimulator> =>
  startSimulator({ profiles: ['zoho', ...provided], dataCenters: ['us', 'eu', 'au'], autoApprove: true });

describe('sessions', () => {
  test.each(scripts)('%s', async (name) => {
    await using home = await Home.make();
    const simulator = await startProviders();
    onTestFinished(() => simulator.close());
    const SIM = join(home.path, 'simulator');
    await mkdir(SIM);
    for (const id of builtInProviderIds.filter((each) => each.startsWith('zoho'))) {
      const definition = builtInProvider(id);
      if (definition !== null) await writeFile(join(SIM, `${id}.json`), JSON.stringify(simulator.rewrite(definition)));
    }
    for (const id of provided) await writeFile(join(SIM, `${id}.json`), JSON.stringify(simulator.definition(id)));
    await writeFile(join(SIM, 'secret.txt'), `${demoClient.secret}\n`);
    const mint = (dc: string) =>
      simulator.mintTokens({
        clientId: demoClient.clientId,
        user: `user@${dc}.example`,
        scopes: ['ZohoCRM.org.READ', 'ZohoCRM.modules.ALL'],
      }).refreshToken;
    const script = parseScript(await readFile(join(directory, name), 'utf8'));
    await runScript(script, home, {
      SIM,
      HOME: home.path,
      CLIENT: demoClient.clientId,
      SECRET: demoClient.secret ?? '',
      PORT: String(await freePort()),
      TOKENEU: mint('eu'),
      TOKENUS: mint('us'),
      TOKENAU: mint('au'),
      CODE: simulator.mintCode({
        clientId: demoClient.clientId,
        user: 'user@eu.example',
        scopes: ['ZohoCRM.org.READ'],
      }),
    });
  });
});
