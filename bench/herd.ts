/**
 * One expired grant and many callers: 8 processes with 1,000 callers each, on one database. The provider must see one
 * request, and no caller may wait much longer than the provider takes.
 */
import { openScene, type Scene } from '../lab/kill-lab/scene.ts';
import { withDatabases } from '../scripts/scratch-postgres.ts';
import { median, percentile } from './measure.ts';
import { type Aim, table } from './report.ts';

const processes = 8;
const callers = 1_000;
const answerMs = 500;
const rounds = 5;

export async function benchHerd(): Promise<Aim[]> {
  const rows: string[][] = [];
  const aims: Aim[] = [];
  await withDatabases(async (name, fresh) => {
    const provider = { profile: 'strict_revokes_family', delayMs: [answerMs, answerMs] } as const;
    await using scene = await openScene({ database: await fresh(), processes, provider });
    await scene.warmUp();
    // Not counted: the first thousands of callers compile the code.
    await stampede(scene, 'warm');
    const bareMs = median(await bareRequests(scene.started.origin));
    const medians: number[] = [];
    const worst: number[] = [];
    let requests = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { waits, asked } = await stampede(scene, `tenant-${round}`);
      requests = Math.max(requests, asked);
      medians.push(median(waits) / bareMs);
      worst.push(percentile(waits, 1) / bareMs);
    }
    rows.push([name, `${requests}`, `${bareMs.toFixed(0)} ms`, median(medians).toFixed(2), median(worst).toFixed(2)]);
    aims.push(
      { what: `token requests for ${processes} × ${callers} callers, ${name}`, value: requests, most: 1 },
      { what: `the last caller’s wait against the provider’s answer time, ${name}`, value: median(worst), most: 1.3 },
    );
  });
  const head = [`${processes} processes × ${callers} callers`, 'requests', 'provider', 'median caller', 'last caller'];
  process.stdout.write(`\n${table(head, rows)}\n`);
  return aims;
}

async function stampede(scene: Scene, tenant: string): Promise<{ waits: number[]; asked: number }> {
  await scene.connect(tenant);
  const called = await scene.callAll(tenant, callers);
  const failed = called.flatMap(({ errors }) => errors);
  const generations = new Set(called.flatMap((each) => [...each.generations]));
  if (failed.length > 0 || generations.size !== 1) {
    throw new Error(`${failed.length} callers failed (${failed[0]}), ${generations.size} generations were handed out`);
  }
  const facts = await scene.facts(tenant);
  return { waits: called.flatMap((each) => [...each.waitsMs]), asked: facts?.requests ?? 0 };
}

/** Measures the same server directly; a refusal takes as long as an answer. */
async function bareRequests(origin: string): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < 5; index += 1) {
    const started = performance.now();
    const headers = { connection: 'close', 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(`${origin}/token`, { method: 'POST', headers, body: 'grant_type=refresh_token' });
    await response.arrayBuffer();
    times.push(performance.now() - started);
  }
  return times;
}
