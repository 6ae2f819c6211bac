import { type Context, openServer } from '../context.ts';
import { quarantineAction } from '../quarantine.ts';
import type { Settings } from '../settings.ts';
import { type Finding, fail, finding, ok } from './finding.ts';

/** Checks that a server is alive, is ready and accepts the API key. */
export async function serverFindings(
  context: Context,
  server: NonNullable<Settings['server']>,
): Promise<readonly Finding[]> {
  await using vault = await openServer(context, server, { light: true });
  return [
    await finding('server', async () => {
      await vault.checkAlive();
      return ok('server', server.url);
    }),
    await finding('ready', async () => {
      await vault.checkQuarantine();
      if (vault.quarantine === null) return ok('ready', 'it refreshes grants');
      return fail('ready', `quarantined: ${vault.quarantine}`, quarantineAction, 'grant_quarantined');
    }),
    await finding('API key', async () => {
      await vault.grants.list({ limit: 1 });
      return ok('API key', 'the server accepts it');
    }),
  ];
}
