/** Stands in front of `src/storage/engine/sqlite.ts`: every statement is a step of its process. */
import type { Engine } from '../../../src/storage/engine/engine.ts';
import { openSqlite as openReal } from '../../../src/storage/engine/sqlite.ts';
import { newestDatabase } from './driver.ts';
import { processWith } from './processes.ts';
import { stepping } from './stepping.ts';

export async function openSqlite(options: Parameters<typeof openReal>[0]): Promise<Engine> {
  const process = processWith(options.world);
  const engine = await openReal(options);
  if (process === undefined) return engine;
  const database = newestDatabase();
  const handle = {
    close: () => {
      if (database.isOpen) database.close();
    },
  };
  process.handles.add(handle);
  return {
    ...engine,
    acquire: async () => stepping(await engine.acquire(), process),
    close: async () => {
      await engine.close();
      process.handles.delete(handle);
    },
  };
}
