import { describe, expect, test } from 'vitest';
import { untriedEngineOf } from './postgres-fitness.ts';

describe('engines by what they call themselves', () => {
  test.each([
    'PostgreSQL 18.4 on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit',
    'PostgreSQL 15.10 on aarch64-unknown-linux-gnu, compiled by aarch64-unknown-linux-gnu-gcc (GCC) 9.5.0, 64-bit',
    'PostgreSQL 17.2 (Ubuntu 17.2-1.pgdg24.04+1) on x86_64-pc-linux-gnu',
    'PostgreSQL 16.6 (EnterpriseDB Advanced Server 16.6.0) on x86_64-pc-linux-gnu',
  ])('%s is PostgreSQL', (version) => expect(untriedEngineOf(version)).toBeNull());

  test.each([
    ['CockroachDB CCL v25.1.2 (x86_64-pc-linux-gnu, built 2025/03/10 16:17:56, go1.22.8)', 'CockroachDB'],
    ['PostgreSQL 18.0 (CockroachDB CCL v26.3.0)', 'CockroachDB'],
    ['PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 16.0.6', 'YugabyteDB'],
    ['PostgreSQL 15.12-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu', 'YugabyteDB'],
    ['PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.61395', 'Redshift'],
    ['PostgreSQL 12.12 (Greenplum Database 7.1.0 build commit:e7c2b1) on x86_64-pc-linux-gnu', 'Greenplum'],
    ['PostgreSQL 9.5.0 on x86_64-unknown-linux-gnu (Materialize v0.130.1)', 'Materialize'],
    ['PostgreSQL 13.14.0-RisingWave-2.1.0 (f5a4e8b)', 'RisingWave'],
    ['CrateDB 5.9.2 (built abc/NA, Linux 5.15 amd64, OpenJDK 22)', 'CrateDB'],
    ['QuestDB 8.1', 'QuestDB'],
    ['', 'a program without a name'],
  ])('%s is refused by name', (version, name) => {
    expect(untriedEngineOf(version)).toMatchObject({ name, missing: expect.stringMatching(/^\w+ /) });
  });
});
