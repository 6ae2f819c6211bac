/** Stands in front of `src/storage/engine/postgres.ts`: every statement is a step of its process. */
import type { Engine } from '../../../src/storage/engine/engine.ts';
import { openPostgres as openReal } from '../../../src/storage/engine/postgres.ts';
import { asProcess, processWith } from './processes.ts';
import { stepping } from './stepping.ts';

export async function openPostgres(options: Parameters<typeof openReal>[0]): Promise<Engine> {
  const process = processWith(options.world);
  if (process === undefined) return openReal(options);
  // The pool is made in the first turn: it finds its process here.
  const opening = asProcess(process.server, () =>
    openReal({ ...options, unsafeAllowFsyncOff: 'the simulation loses nothing that was committed' }),
  );
  const engine = await opening;
  return { ...engine, acquire: async () => stepping(await engine.acquire(), process, { ownCommits: true }) };
}
