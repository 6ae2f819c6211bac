import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { describeStatements } from './statements.ts';

describeStatements('sqlite in memory', async () => ({ database: 'sqlite::memory:', drop: async () => {} }));
describeStatements('sqlite on disk', async () => scratchSqlite());
describeStatements('postgres', scratchDatabase);
