import { setTimeout as sleep } from 'node:timers/promises';
import { isGrantryError } from '../../src/base/errors.ts';
import { protectedTableNames } from '../../src/storage/protected-tables.ts';
import { type Mutation, putBack } from './mutations.ts';
import { type Provider, providers, tenants } from './place.ts';
import { aboutOf, type Round } from './round.ts';
import { isCommon, isTouched } from './use.ts';

/** Servers trust what they know of a key for some seconds, and busy machines are slow. */
const patienceMs = 30_000;
const pollMs = 200;

/**
 * Puts the rows back as an administrator with a backup does, ends a quarantine, and expects each grant to work again.
 * Returns false if the vault cannot be brought back.
 */
export async function heal(round: Round): Promise<boolean> {
  const { place, report, made } = round;
  for (const mutation of made.toReversed()) {
    const outcome = await putBack(place.attacker, mutation);
    if (outcome === 'put back') report.putBack += 1;
    if (outcome === 'replaced') report.replaced += 1;
  }
  await removeStrangers(round);
  try {
    if (!(await endQuarantine(round)) || (await place.altered()).length > 0) return false;
    if (!(await keysWork(round))) return false;
    for (const tenant of tenants) for (const provider of providers) await healGrant(round, { tenant, provider });
    return true;
  } catch (error) {
    if (isGrantryError(error)) return false;
    throw error;
  }
}

/** Removes what the attacker has left at other names than those of the run. */
async function removeStrangers({ place: { attacker } }: Round): Promise<void> {
  const [known, at] = [new Set<string>(tenants), new Set<string>(providers)];
  for (const row of await attacker.rows('oauth_tokens')) {
    const isOurs =
      known.has(String(row['client_id'])) && at.has(String(row['provider'])) && row['account'] === 'default';
    if (!isOurs) await attacker.replace('oauth_tokens', row, null);
  }
}

/** A database whose identity or events were altered looks like a copy. The administrator adopts it. */
async function endQuarantine({ place: { vault }, report }: Round): Promise<boolean> {
  if (vault.quarantine === null) return true;
  await vault.adopt();
  report.adopted += 1;
  return vault.quarantine === null;
}

/** Waits until the server knows again that the keys whose rows were put back are good. */
async function keysWork(round: Round): Promise<boolean> {
  const { place, made, report } = round;
  const until = performance.now() + patienceMs;
  for (const name of [
    'admin',
    'operator',
    ...tenants.flatMap((tenant) => [`reader-${tenant}`, `connector-${tenant}`]),
  ]) {
    while ((await place.call('GET', '/v1/grants?limit=1', { holder: place.holder(name) })).status !== 200) {
      if (performance.now() >= until) {
        if (!made.some(isCommon)) report.findings.add(`the key ${name} is refused although its row was put back`);
        return false;
      }
      await sleep(pollMs);
    }
  }
  return true;
}

/** A grant whose rows are as they were works again. One that the round has worn out is connected again. */
async function healGrant(round: Round, { tenant, provider }: { tenant: string; provider: Provider }): Promise<void> {
  const { place, dice, report, made } = round;
  const works = await worksAgain(round, { tenant, provider });
  const isWorn = made.some(wears);
  if (works && isTouched(made, tenant, provider)) report.healed += 1;
  if (works && !dice.chance(0.2)) return;
  if (!works) {
    report.reconnected += 1;
    if (!isWorn) report.findings.add(`the grant ${tenant}/${provider} did not heal after ${aboutOf(round)}`);
  }
  await place.connect(tenant, provider, { stale: dice.chance(0.5) });
}

/**
 * True for the tables whose mutation may wear a grant out while it lasts: times, states and outcomes carry no MAC. A refresh
 * too many, or an answer that could not be saved, may end a grant at its own provider.
 */
function wears({ table }: Mutation): boolean {
  return !protectedTableNames.some((name) => name === table);
}

async function worksAgain({ place: { vault } }: Round, key: { tenant: string; provider: string }): Promise<boolean> {
  const grant = await vault.grants.get(key).catch(() => null);
  if (grant?.state !== 'active') return false;
  return vault.getAccessToken(key).then(
    () => true,
    (error: unknown) => {
      if (isGrantryError(error)) return false;
      throw error;
    },
  );
}
