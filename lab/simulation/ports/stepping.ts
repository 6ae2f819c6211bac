import type { EngineConnection, EngineStatement } from '../../../src/storage/engine/engine.ts';
import type { PortProcess } from './processes.ts';

const writing = /^\s*(insert|update|delete)/i;

/** A connection whose every statement is a step of its process. */
export function stepping(
  inner: EngineConnection,
  process: PortProcess,
  /** `ownCommits`: the driver decides itself how long a commit takes. */
  { ownCommits = false }: { ownCommits?: boolean } = {},
): EngineConnection {
  let inTransaction = false;
  return {
    execute: async (statement: EngineStatement) => {
      const writes = writing.test(statement.sql);
      const kind = writes ? 'write' : 'read';
      const what = nameOf(statement.sql);
      await process.step(kind, what);
      if (writes) process.statement(statement.sql, statement.parameters);
      const result = await inner.execute(statement);
      if (writes && !inTransaction) await process.committed();
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
      if (!ownCommits) await process.flushed();
      await inner.commit();
      inTransaction = false;
      await process.committed();
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
