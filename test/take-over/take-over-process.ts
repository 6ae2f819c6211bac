/**
 * A process of its own that takes a table over: DATABASE and HOME in the environment. Says `ready`, begins when its
 * standard input says something, and says `done`.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { openVault } from '../../src/vault/open.ts';

const [database, home] = [process.env['DATABASE'], process.env['HOME_OF_VAULT']];
if (database === undefined || home === undefined) throw new Error('DATABASE or HOME_OF_VAULT is not set');

process.stdout.write('ready\n');
await once(process.stdin, 'data');
const vault = await openVault({
  database,
  home,
  rootKey: `file:${join(home, 'root.key')}`,
  takeOver: true,
  onTakeOver: ({ sealed }) => process.stdout.write(`sealed ${sealed}\n`),
});
await vault.close();
process.stdout.write('done\n');
process.exit(0);
