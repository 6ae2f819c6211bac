/**
 * The canary sweep: a run from end to end with failures forced on it, in real processes. Every secret of it is known here;
 * then everything that came out anywhere is searched for all of them, in every encoding. What may be found is listed, and
 * nothing else is found.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningSimulator, startSimulator } from '../../src/simulator/index.ts';
import { scratchDatabase } from '../support/postgres.ts';
import { tables } from './database.ts';
import { Needles, type SecretKind } from './needles.ts';
import { CanaryRun, clientId, clientSecret } from './run.ts';
import { readAlong } from './wire.ts';

/** Places where a secret is allowed. Any other place is a leak. */
const allowed: readonly string[] = [
  'API key in POST /v1/keys',
  'access token in GET /v1/tenants/acme/grants/strict/token',
  // The provider's own answer, which repeats what the caller asked for.
  'access token in GET a proxied path that is a secret',
  'access token in POST /oauth2/token',
  'access token in POST /v1/tenants/acme/grants/strict/token',
  'access token in stdout of grantry token',
  'browser cookie in cookie of GET the link',
  'browser cookie in cookie of POST the link',
  'completion code in location of GET the callback',
  // The browser of the flow sees the same end again.
  'completion code in location of GET the callback again',
  'connect link in POST /v1/connect-sessions',
  'state in location of POST the link',
];

let simulator: RunningSimulator;
beforeAll(async () => {
  const clients = [{ clientId, secret: clientSecret }];
  simulator = await startSimulator({ profiles: ['strict'], clients, autoApprove: true });
});
afterAll(() => simulator.close());

test.each(['sqlite', 'postgres'] as const)('no secret is anywhere but where it belongs, on %s', async (kind) => {
  const needles = new Needles();
  using listening = new DisposableStack();
  listening.use(readAlong(needles));
  await using scratch = kind === 'postgres' ? await scratchDatabase() : undefined;
  await using run = await CanaryRun.start({ needles, simulator, database: scratch?.database });
  await run.setUp();
  await run.useHttp();
  await run.connectInBrowser();
  await run.fail();
  await run.useCommands();
  await run.useLibrary();
  await run.stop();
  run.noteKeys(await tables(run.database));
  await run.sweep();
  const kinds: SecretKind[] = ['access token', 'refresh token', 'authorization code', 'code verifier', 'state'];
  for (const each of kinds) expect(needles.count(each), each).toBeGreaterThan(0);
  expect(needles.count('tenant key')).toBeGreaterThan(1);
  expect(needles.hits).toEqual(allowed);
});
