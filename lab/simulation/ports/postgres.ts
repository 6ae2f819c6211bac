/** Stands in front of `src/storage/engine/postgres.ts`: every statement is a step of its process. */
import type { Engine } from '../../../src/storage/engine/engine.ts';
import { openPostgres as openReal } from '../../../src/storage/engine/postgres.ts';
import { processWith } from './processes.ts';
import { stepping } from './stepping.ts';

export async function openPostgres(options: Parameters<typeof openReal>[0]): Promise<Engine> {
  const process = processWith(options.world);
  const engine = await openReal(options);
  return process === undefined ? engine : { ...engine, acquire: async () => stepping(await engine.acquire(), process) };
}
