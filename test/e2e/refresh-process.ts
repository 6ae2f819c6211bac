/** A process that reports one access token as rejected; its environment says which. The test kills it on the way. */
import { systemWorld } from '../../src/base/system-world.ts';
import { openVault } from '../../src/index.ts';

const {
  home = '',
  database = '',
  generation = '',
  provider = '',
} = JSON.parse(process.env['GRANTRY_TEST_INPUT'] ?? '{}') as Record<string, string>;

await using vault = await openVault({
  home,
  database,
  unsafeAllowLoopbackProviders: 'a test',
  world: systemWorld({ allowLoopback: true }),
});
await vault.rejectAccessToken({ tenant: 'acme', provider }, Number(generation));
