import type { ProviderJudgement } from '../kill-lab/messages.ts';
import type { Seen } from './client.ts';
import type { Ended } from './server-place.ts';

export interface RestartsResult {
  readonly restarts: number;
  readonly requests: number;
  /** Repeated tries that no server had accepted. */
  readonly refused: number;
  readonly resets: number;
  /** Answers of a busy server that asked to come again. */
  readonly shed: number;
  /** Token requests that the providers served, and those among them that carried a spent token. */
  readonly refreshes: number;
  readonly replays: number;
  readonly stopMs: { readonly p50: number; readonly max: number };
  readonly waitMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Broken promises, each as a sentence. */
  readonly broken: readonly string[];
}

interface Run {
  readonly ended: readonly Ended[];
  readonly seen: Seen;
  readonly waitsMs: readonly number[];
  readonly tenants: readonly { readonly path: string; readonly profile: string; readonly family: string }[];
  readonly judgements: ReadonlyMap<string, ProviderJudgement>;
}

/** The client's notes, the servers' own count and the providers' history must tell the same story. */
export function judge(run: Run): RestartsResult {
  const { ended, seen, judgements } = run;
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  const all = [...judgements.values()];
  const accepted = sum(ended.map(({ requests }) => requests));
  const unanswered = sum(ended.map(({ unanswered: count }) => count));
  const broken = [...seen.failures];
  const codes = ended.map(({ code }) => code).filter((code) => code !== 0);
  if (codes.length > 0) broken.push(`servers ended with ${codes.join(', ')}`);
  if (unanswered > 0) broken.push(`${unanswered} requests were accepted, and their answers did not leave`);
  if (accepted !== seen.answers) broken.push(`${accepted} requests were accepted, and ${seen.answers} answers came`);
  const replays = sum(all.map((each) => each.replays));
  if (replays > 0) broken.push(`${replays} token requests carried a spent token: an answer had been lost`);
  for (const { path, profile, family } of run.tenants) {
    const facts = judgements.get(profile)?.families.find((each) => each.family === family);
    if (facts?.alive === null || facts?.alive === undefined)
      broken.push(`${path}: the provider honours no token any more`);
  }
  broken.push(...ended.flatMap(({ complaints }) => complaints));
  return {
    restarts: ended.length - 2,
    requests: seen.answers,
    refused: seen.refused,
    resets: seen.resets,
    shed: seen.shed,
    refreshes: sum(all.map(({ tokenRequests }) => tokenRequests)),
    replays,
    stopMs: {
      p50: share(
        ended.map(({ stopMs }) => stopMs),
        0.5,
      ),
      max: share(
        ended.map(({ stopMs }) => stopMs),
        1,
      ),
    },
    waitMs: { p50: share(run.waitsMs, 0.5), p99: share(run.waitsMs, 0.99), max: share(run.waitsMs, 1) },
    broken,
  };
}

function share(numbers: readonly number[], part: number): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
}
