import { once } from 'node:events';
import { systemWorld } from '../../base/system-world.ts';
import { witnessLog } from '../../vault/audit/witness.ts';
import { internalsOf } from '../../vault/internals.ts';
import { type Context, openContextVault } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import { withProgress } from '../terminal/progress.ts';
import { WitnessServer } from './witness-server.ts';

/** Has a witness sign the log, and prints the checkpoint. */
export async function askWitness(context: Context, url: string, verifiers: readonly string[]): Promise<void> {
  if (context.settings.server !== undefined) {
    throw usageError('A witness is asked where the database is.', 'Run this command without GRANTRY_URL.');
  }
  if (!URL.canParse(url)) throw usageError('The address of the witness must be a URL.');
  await using vault = await openContextVault(context);
  // The operator names the witness, which may be on this machine or in a private network.
  const world = systemWorld({ allowLoopback: true, anywhere: true });
  const work = () => witnessLog(internalsOf(vault).open(), world, { url, verifiers });
  const { note, size } = await withProgress(context.world, 'Asking the witness', work);
  if (context.output.json) return context.output.printJson({ size, note });
  context.output.print(note.trimEnd());
}

/** Runs a small witness until a signal ends the program. */
export async function beWitness(
  { output, world }: Context,
  options: { port: number; file: string; name: string; logKeys: readonly string[] },
): Promise<void> {
  const witness = new WitnessServer(world, options);
  const server = witness.listener();
  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  output.print(`The witness listens at http://127.0.0.1:${port}. Its public key:\n${witness.verifier}`);
  await once(server, 'close');
}
