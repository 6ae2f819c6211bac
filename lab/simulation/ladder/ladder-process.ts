/** Climbs the fault ladder of one operation on the database that is named, at the providers that are, and says each rung in a line of JSON. */
import { createHash } from 'node:crypto';
import { installHooks } from '../hooks.ts';

const [database = '', operation = '', ...providers] = process.argv.slice(2);
installHooks(null);
process.env['GRANTRY_SIMULATION_KEY'] = createHash('sha256').update('grantry ladder').digest('base64');
const { climb } = await import('./ladder.ts');
await climb(database, operation, providers, (rung) => process.stdout.write(`${JSON.stringify(rung)}\n`));
