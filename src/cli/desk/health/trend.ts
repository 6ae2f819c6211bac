import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type CheckedKey, namePattern, providerPattern } from '../../../base/ids.ts';
import { limits } from '../../../base/limits.ts';
import { writeKey } from '../../../schemas/json.ts';
import type { HealthReport } from '../../../vault/types.ts';
import type { Settings } from '../../settings.ts';

/** A grant in the last report: the state, and the time at which a report first saw it in that state. */
const seen = z.strictObject({ state: z.string().regex(/^[a-z_]{1,64}$/), since: z.iso.datetime() });

const pairs = z.array(
  z.strictObject({
    tenant: z.string().regex(namePattern),
    provider: z.string().regex(providerPattern),
    account: z.string().regex(namePattern),
    ...seen.shape,
  }),
);

const kept = z.strictObject({ version: z.literal(1), at: z.iso.datetime(), grants: pairs });

/** The grants that the last report saw. It has states and times: no token, no organisation and no message. */
interface LastReport {
  readonly at: string;
  readonly grants: ReadonlyMap<string, Seen>;
}

interface Seen extends CheckedKey {
  readonly state: string;
  readonly since: string;
}

/** The course of a grant since the last report. */
export interface Change {
  /** When a report first saw the grant in this state. */
  readonly since: string;
  /** The state in the last report; null for a grant that was not in it. */
  readonly was: string | null;
}

/** `healthy`, or the code of the error. */
export function stateOf(report: HealthReport): string {
  return report.status === 'healthy' ? report.status : report.error;
}

/** Compares the reports of now with the last one. */
export function changesOf(last: LastReport | null, reports: readonly HealthReport[], now: Date): readonly Change[] {
  return reports.map((report) => {
    const before = last?.grants.get(writeKey(report));
    const isSame = before !== undefined && before.state === stateOf(report);
    return { since: isSame ? before.since : now.toISOString(), was: before?.state ?? null };
  });
}

/** Reads the last report; null where there is none, and also where it is not readable: the next one is then the first. */
export function readLastReport(settings: Settings): LastReport | null {
  try {
    const text = readFileSync(fileOf(settings), 'utf8');
    if (text.length > limits.documentBytesMax * 64) return null;
    const { at, grants } = kept.parse(JSON.parse(text));
    return { at, grants: new Map(grants.map((each) => [writeKey(each), each])) };
  } catch {
    return null;
  }
}

/**
 * Keeps what this report saw for the next one.
 *
 * @param isWhole False for a report on one tenant: the others stay as the last report saw them
 */
export function keepReport(settings: Settings, { last, reports, changes, now }: ReportOfNow, isWhole: boolean): void {
  const grants = new Map(isWhole ? [] : last?.grants);
  for (const [index, report] of reports.entries()) {
    const { tenant, provider, account } = report;
    const since = changes[index]?.since ?? now.toISOString();
    grants.set(writeKey(report), { tenant, provider, account, state: stateOf(report), since });
  }
  mkdirSync(settings.home, { recursive: true, mode: 0o700 });
  const file = fileOf(settings);
  const draft = `${file}.${process.pid}`;
  const text = JSON.stringify({ version: 1, at: now.toISOString(), grants: [...grants.values()] });
  writeFileSync(draft, `${text}\n`, { mode: 0o600 });
  renameSync(draft, file);
}

export interface ReportOfNow {
  readonly last: LastReport | null;
  readonly reports: readonly HealthReport[];
  readonly changes: readonly Change[];
  readonly now: Date;
}

/** One file for each vault that is asked from this home. Its name tells no address and no password. */
function fileOf({ home, server, database }: Settings): string {
  const place = server?.url ?? withoutPassword(database);
  const name = createHash('sha256').update(place).digest('hex').slice(0, 12);
  return join(home, `health-${name}.json`);
}

function withoutPassword(database: string): string {
  if (!URL.canParse(database)) return database;
  const url = new URL(database);
  url.password = '';
  url.search = '';
  return url.href;
}
