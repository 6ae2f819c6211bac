/** Stands in front of `src/storage/sqlite.ts`: every statement is a step of its process. */
import type { Engine, EngineConnection, EngineStatement } from '../../../src/storage/engine.ts';
import { openSqlite as openReal } from '../../../src/storage/sqlite.ts';
import { newestDatabase } from './driver.ts';
import { type PortProcess, processWith } from './processes.ts';

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

const writing = /^\s*(insert|update|delete)/i;

function stepping(inner: EngineConnection, process: PortProcess): EngineConnection {
  let inTransaction = false;
  return {
    execute: async (statement: EngineStatement) => {
      const writes = writing.test(statement.sql);
      const kind = writes ? 'write' : 'read';
      const what = nameOf(statement.sql);
      await process.step(kind, what);
      const result = await inner.execute(statement);
      if (writes && !inTransaction) process.committed();
      await process.done(kind, what);
      return result;
    },
    begin: async (long) => {
      await process.step('begin', 'begin');
      await inner.begin(long);
      inTransaction = true;
      await process.done('begin', 'begin');
    },
    commit: async () => {
      await process.step('commit', 'commit');
      await inner.commit();
      inTransaction = false;
      process.committed();
      await process.done('commit', 'commit');
    },
    rollback: async () => {
      await process.step('rollback', 'rollback');
      inTransaction = false;
      await inner.rollback();
    },
    release: () => inner.release(),
  };
}

/** The verb and the table: enough to read a trace by. */
function nameOf(sql: string): string {
  return (/^\s*(\w+)[^"]*?(?:from |into |update )?(?:"(\w+)")?/i.exec(sql)?.slice(1, 3) ?? ['?'])
    .filter(Boolean)
    .join(' ');
}
