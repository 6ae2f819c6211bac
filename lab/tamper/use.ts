import type { Row } from './attacker.ts';
import type { Mutation } from './mutations.ts';
import { forger, type Holder, type Provider, providers, tenants } from './place.ts';
import { aboutOf, call, type Round } from './round.ts';
import { attackersText } from './values.ts';

/** A mutation of these tables may stop the whole vault: its neighbours are not judged. */
const common = new Set(['grantry_instance', 'grantry_schema', 'grantry_tenant_keys', 'grantry_events']);

/** True if a mutation of the round may stop everything. */
export function isCommon({ table }: Mutation): boolean {
  return common.has(table);
}

/** Uses the vault as everybody does who has a key, and the attacker too. Untouched grants and lists must go on. */
export async function useVault(round: Round): Promise<void> {
  const { place, dice } = round;
  for (const holder of [...place.holders.values(), forger]) {
    const [tenant, provider] = [dice.pick(tenants), dice.pick(providers)];
    await call(round, 'GET', `/v1/tenants/${tenant}/grants/${provider}/token`, holder);
    await call(round, 'GET', `/v1/proxy/${tenant}/${provider}/api/organization?by=${holder.name}`, holder);
  }
  await useGrants(round);
  await useLists(round);
  const cookie = `__Host-grantry_browser=${attackersText}`;
  const link = await call(round, 'GET', `/connect/${attackersText}`, null, undefined, { cookie });
  if (link.status === 200) place.hosts.violations.add('a link of the attacker opened a session');
  await call(round, 'GET', `/oauth/callback/evil?state=${attackersText}&code=stolen`, null, undefined, { cookie });
  await useMoved(round);
}

async function useGrants(round: Round): Promise<void> {
  const { place, dice, report, made } = round;
  const admin = place.holder('admin');
  for (const tenant of tenants) {
    for (const provider of providers) {
      const { status, text } = await refreshed(round, { tenant, provider }, admin, dice.chance(0.5));
      if (made.some(isCommon) || isTouched(made, tenant, provider)) {
        report.excused += 1;
        continue;
      }
      report.judged += 1;
      if (status !== 200)
        report.findings.add(
          `the untouched grant ${tenant}/${provider} got ${status} (${detailIn(text)}) after ${aboutOf(round)}`,
        );
    }
  }
}

/** The words of a problem: its status does not tell what is missing. */
function detailIn(text: string): string {
  return /"detail":"([^"]{1,200})/.exec(text)?.[1] ?? 'no problem';
}

/** True if a mutation may decide what becomes of a grant. */
export function isTouched(made: readonly Mutation[], tenant: string, provider: string): boolean {
  return made.some(({ before, after }) => [before, after].some((row) => concerns(row, tenant, provider)));
}

async function useLists(round: Round): Promise<void> {
  const isJudged = !round.made.some(
    (mutation) => isCommon(mutation) || ['oauth_tokens', 'grantry_api_keys'].includes(mutation.table),
  );
  for (const list of ['/v1/apps', '/v1/keys', '/v1/providers', '/v1/grants', '/v1/connect-sessions']) {
    const { status } = await call(round, 'GET', list, round.place.holder('admin'));
    if (status !== 200 && isJudged) round.report.findings.add(`GET ${list} got ${status} after ${aboutOf(round)}`);
  }
}

/** Asks for a grant that was moved where it is now. */
async function useMoved(round: Round): Promise<void> {
  const admin = round.place.holder('admin');
  for (const { table, after } of round.made) {
    if (table !== 'oauth_tokens' || after === null) continue;
    const [tenant, provider, account] = [after['client_id'], after['provider'], after['account']].map((name) =>
      encodeURIComponent(String(name)),
    );
    const path = `/v1/tenants/${tenant}/grants/${provider}/token?account=${account}&min_validity=3600`;
    // The administrator acts for every tenant, so only the token counts.
    await call(round, 'GET', path, { ...admin, acts: new Set([...admin.acts, tenant ?? '']) });
    const holder = round.place.holder('mallory-reader');
    const of = { 'grantry-account': String(after['account']).replaceAll(/[^\w.@:-]/g, '') };
    await call(round, 'GET', path, holder);
    await call(
      round,
      'GET',
      `/v1/proxy/${tenant}/${provider}/api/organization?by=${holder.name}`,
      holder,
      undefined,
      of,
    );
    await call(round, 'GET', `/v1/proxy/${tenant}/${provider}/api/organization`, admin, undefined, of);
  }
}

/** Asks for a token, half of the time for one that needs a refresh, as a caller does whose token is about to expire. */
async function refreshed(
  round: Round,
  { tenant, provider }: { tenant: string; provider: Provider },
  holder: Holder,
  isLong: boolean,
): ReturnType<typeof call> {
  const path = `/v1/tenants/${tenant}/grants/${provider}/token${isLong ? '?min_validity=3600' : ''}`;
  return call(round, 'GET', path, holder);
}

/** True if a row may decide what becomes of a grant: it names the tenant or the provider, or the grant by its id. */
function concerns(row: Row | null, tenant: string, provider: string): boolean {
  if (row === null) return false;
  const text = Object.values(row).map(String).join('\n');
  const isOfAnyTenant = 'definition' in row || 'client_secrets' in row || 'key_hash' in row || 'fingerprint' in row;
  return isOfAnyTenant
    ? text.includes(provider) || 'key_hash' in row || 'fingerprint' in row
    : text.includes(tenant) || 'grant_id' in row;
}
