import type { TamperReport } from './round.ts';

/** Prints what a run did, and what it found. Returns true if it found nothing. */
export function printReport(report: TamperReport): boolean {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  for (const [name, times] of byName(report.tried)) say(`  ${name}: ${times}`);
  for (const [name, { taken, done }] of byName(report.steps)) say(`  step ${name}: ${taken}, ${done} as wanted`);
  const mutations = [...report.tried.values()].reduce((sum, times) => sum + times, 0);
  say(
    `  ${report.rounds} rounds, ${mutations} mutations, ${report.calls} calls, ${report.requests} requests to providers; ` +
      `${report.named} altered rows named, ${report.rolledBack} old rows put back`,
  );
  say(
    `  ${report.putBack} rows restored, ${report.replaced} replaced by the vault; ${report.healed} times a touched grant worked again, ` +
      `${report.reconnected} times it was connected again; ${report.adopted} quarantines ended`,
  );
  say(
    `  ${report.judged} answers judged, ${report.excused} not judged, since a mutation may explain them; ` +
      `${report.destroyed} vaults destroyed`,
  );
  for (const finding of [...report.leaks, ...report.findings]) say(`✗ ${finding}`);
  const isClean = report.leaks.size + report.findings.size === 0;
  if (isClean) say('✓ nothing left, and every altered row was named');
  return isClean;
}

function byName<V>(counts: ReadonlyMap<string, V>): [string, V][] {
  return [...counts].toSorted(([one], [other]) => (one < other ? -1 : 1));
}
