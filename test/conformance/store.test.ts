import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { describeStore } from './storage.ts';

describeStore('sqlite in memory', async () => ({ database: 'sqlite::memory:', drop: async () => {} }));
describeStore('sqlite on disk', async () => scratchSqlite());
describeStore('postgres', scratchDatabase);
