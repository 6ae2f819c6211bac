import { z } from 'zod';
import { Client, type ServerAddress } from '../../client/http.ts';
import { RemoteVault } from '../../client/vault.ts';
import type { Context } from '../context.ts';
import { quarantineAction } from '../quarantine.ts';
import { type Finding, fail, finding, ok } from './finding.ts';

/** Checks that a server is alive, is ready and accepts the API key. */
export async function serverFindings({ world }: Context, server: ServerAddress): Promise<readonly Finding[]> {
  const vault = new RemoteVault(world, server);
  const client = new Client(world, server);
  return [
    await finding('server', async () => {
      await client.ask('GET', '/livez', z.object({ status: z.literal('alive') }));
      return ok('server', server.url);
    }),
    await finding('ready', async () => {
      await vault.look();
      if (vault.quarantine === null) return ok('ready', 'it refreshes grants');
      return fail('ready', `quarantined: ${vault.quarantine}`, quarantineAction, 'grant_quarantined');
    }),
    await finding('API key', async () => {
      await vault.grants.list({ limit: 1 });
      return ok('API key', 'the server accepts it');
    }),
  ];
}
