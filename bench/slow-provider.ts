/**
 * A token endpoint that is slower than any lock: it takes 15 s, then 40 s, while several processes need the token. It
 * runs in real time. The provider must see one request, and no family may be revoked.
 */
import { openScene } from '../lab/kill-lab/scene.ts';
import { withDatabases } from '../scripts/scratch-postgres.ts';
import { type Aim, table } from './report.ts';

const processes = 4;
const callers = 5;
const profiles = ['strict_revokes_family', 'strict', 'timed_overlap'];
const answersMs = [15_000, 40_000];

export async function benchSlowProvider(): Promise<Aim[]> {
  const rows: string[][] = [];
  await withDatabases(async (name, fresh) => {
    for (const answerMs of answersMs) {
      // They run side by side, because they only wait.
      const waits = profiles.map(async (profile) => wait(await fresh(), profile, answerMs));
      for (const [index, row] of (await Promise.all(waits)).entries())
        rows.push([name, profiles[index] ?? '', `${answerMs / 1_000} s`, ...row]);
    }
  });
  const head = ['database', 'class', 'answer after', 'requests', 'grant', 'callers told to wait', 'served'];
  process.stdout.write(`\n${table(head, rows)}\n`);
  return [
    {
      what: 'most token requests for one generation at a slow provider',
      value: Math.max(...rows.map((row) => Number(row[3]))),
      most: 1,
    },
    { what: 'families revoked at a slow provider', value: rows.filter((row) => row[4] !== 'alive').length, most: 0 },
  ];
}

async function wait(database: string, profile: string, answerMs: number): Promise<string[]> {
  await using scene = await openScene({ database, processes, provider: { profile, delayMs: [answerMs, answerMs] } });
  const tenant = 'tenant';
  await scene.connect(tenant);
  const until = performance.now() + answerMs + 15_000;
  let told = 0;
  let served = 0;
  // Callers have their own deadline: those that time out come again, in every process.
  while (served < processes * callers && performance.now() < until) {
    const called = await scene.callAll(tenant, callers);
    served = called.flatMap(({ generations }) => [...generations]).length;
    told += called.flatMap(({ errors }) => [...errors]).length;
  }
  const facts = await scene.facts(tenant);
  return [`${facts?.requests ?? 0}`, facts?.alive === null ? 'revoked' : 'alive', `${told}`, `${served}`];
}
