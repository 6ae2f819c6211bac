import { z } from 'zod';
import { isGrantryError } from '../../src/base/errors.ts';
import { connectThroughBrowser, consent } from './browser.ts';
import { type Holder, mallory, type Provider, providers, returnTo, tenants } from './place.ts';
import { call, type Round } from './round.ts';
import { evilOrigin } from './values.ts';

const keySchema = z.object({ id: z.string(), key: z.string() });

/** An honest step: it returns true if it got its aim, which only a mutation may prevent. */
type Step = (round: Round, of: { tenant: string; provider: Provider; account: string }) => Promise<boolean>;

/** Addresses that mallory would like its users' browsers, and others', to bring codes to. */
const evilReturnTo = `${evilOrigin}/`;
const redirectUri = 'http://127.0.0.1:9/callback';

const steps = {
  'connect with return_to': async (round, of) => {
    const { tenant } = of;
    const link = { holder: round.place.holder(`connector-${tenant}`), user: tenant, returnTo, ...of };
    return (await connectThroughBrowser(round, link)) && (await isUsable(round, of));
  },
  'connect at the callback': async (round, of) => {
    const { tenant } = of;
    const link = { holder: round.place.holder(`connector-${tenant}`), user: tenant, ...of };
    return (await connectThroughBrowser(round, link)) && (await isUsable(round, of));
  },
  'connect from a program': async (round, of) => {
    const { place } = round;
    try {
      // A request at every provider is open, so that the attacker can exchange them.
      for (const other of providers) await place.vault.authorize({ ...of, provider: other, app: other, redirectUri });
      const { url } = await place.vault.authorize({ ...of, app: of.provider, redirectUri });
      await round.attack(['grantry_authorizations']);
      const back = await consent(round, { user: of.tenant, provider: of.provider, url });
      if (back === null) return false;
      await round.attack(['grantry_authorizations']);
      await place.vault.completeAuthorization(back.href);
    } catch (error) {
      if (isGrantryError(error) && error.code !== 'internal') return false;
      throw error;
    }
    return isUsable(round, of);
  },
  'a link of mallory to another address': async (round, { provider, account }) => {
    // A user of another tenant follows it, who thinks well of the installation.
    const holder = round.place.holder('mallory-connector');
    await round.attack(['grantry_apps']);
    const link = { holder, user: 'acme', tenant: mallory, provider, account, returnTo: evilReturnTo };
    return !(await connectThroughBrowser(round, link));
  },
  import: async (round, of) => {
    const { place } = round;
    const { refreshToken } = place.mint(of.tenant, of.provider);
    const line = JSON.stringify({ ...of, app: of.provider, refresh_token: refreshToken });
    const headers = { 'content-type': 'application/x-ndjson' };
    const answer = await call(round, 'POST', '/v1/import', place.holder('operator'), `${line}\n`, headers);
    await round.attack(['oauth_tokens']);
    return answer.text.includes('"imported"') && (await isUsable(round, of));
  },
  'a child key': async (round, { tenant, provider }) => {
    const { place } = round;
    const body = { role: 'caller', tenants: [tenant] };
    const made = await call(round, 'POST', '/v1/keys/self/children', place.holder(`reader-${tenant}`), body);
    if (made.status !== 201) return false;
    const child = place.hold({ name: 'child', ...keySchema.parse(JSON.parse(made.text)) }, 'caller', [tenant]);
    await round.attack(['grantry_api_keys']);
    const status = await proxied(round, child, { tenant, provider });
    for (const other of tenants) await proxied(round, child, { tenant: other, provider });
    const ended = await call(round, 'DELETE', `/v1/keys/${child.id}`, place.holder('admin'));
    if (ended.status === 204) await expectEnded(round, child, { tenant, provider });
    return status === 200 && ended.status === 204;
  },
  'a token exchange': async (round, { tenant, provider }) => {
    const { place } = round;
    await round.attack(['grantry_api_keys']);
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:grantry:tenant',
      audience: provider,
      subject_token: tenant,
    });
    const reader = place.holder(`reader-${tenant}`);
    const { status } = await exchange(round, reader, form);
    for (const other of [place.holder('mallory-reader'), place.holder('mallory')]) await exchange(round, other, form);
    return status === 200;
  },
  'a proxied call': async (round, { tenant, provider }) => {
    const { place } = round;
    await round.attack(['oauth_tokens', 'grantry_api_keys']);
    for (const name of ['mallory', 'mallory-reader']) {
      await proxied(round, place.holder(name), { tenant, provider });
      await proxied(round, place.holder(name), { tenant: mallory, provider });
    }
    return (await proxied(round, place.holder(`reader-${tenant}`), { tenant, provider })) === 200;
  },
} satisfies Readonly<Record<string, Step>>;

export type StepName = keyof typeof steps;

// The names of an object written above.
const stepNames = Object.keys(steps) as StepName[];

/** Takes some honest steps. Without a mutation each of them must get its aim. */
export async function takeSteps(round: Round, preferred: readonly StepName[]): Promise<void> {
  const { dice, report } = round;
  for (let count = 1 + dice.below(2); count > 0; count -= 1) {
    const name = dice.pick(preferred.length > 0 && dice.chance(0.7) ? preferred : stepNames);
    if (name === undefined) return;
    const account = `step-${round.number}-${count}`;
    const of = { tenant: dice.pick(tenants), provider: dice.pick(providers), account };
    const isDone = await steps[name](round, of);
    const counted = report.steps.get(name) ?? { taken: 0, done: 0 };
    report.steps.set(name, { taken: counted.taken + 1, done: counted.done + (isDone ? 1 : 0) });
    if (round.made.length > 0) report.excused += 1;
    else {
      report.judged += 1;
      if (!isDone) report.findings.add(`the step "${name}" failed without any mutation`);
    }
    await leave(round, of);
  }
}

/** Asks for the new grant as its tenant, and as mallory, to whose name the attacker may have moved it. */
async function isUsable(
  round: Round,
  { tenant, provider, account }: { tenant: string; provider: string; account: string },
): Promise<boolean> {
  const { place } = round;
  const path = (of: string, more = '') => `/v1/tenants/${of}/grants/${provider}/token?account=${account}${more}`;
  await call(round, 'GET', path(mallory), place.holder('mallory-reader'));
  await call(round, 'GET', path(mallory, '&min_validity=3600'), place.holder('mallory-reader'));
  return (await call(round, 'GET', path(tenant), place.holder(`reader-${tenant}`))).status === 200;
}

async function proxied(
  round: Round,
  holder: Holder,
  { tenant, provider }: { tenant: string; provider: string },
): Promise<number> {
  return (await call(round, 'GET', `/v1/proxy/${tenant}/${provider}/api/organization?by=${holder.name}`, holder))
    .status;
}

/** Unless its old row was put back, which is allowed to work, a revoked key opens nothing. */
async function expectEnded(round: Round, child: Holder, of: { tenant: string; provider: string }): Promise<void> {
  const status = await proxied(round, child, of);
  const mayWork = round.made.some(({ table, kind }) => table === 'grantry_api_keys' && kind === 'old value put back');
  if (status < 300 && !mayWork) round.place.hosts.violations.add(`a child key that was revoked got ${status}`);
}

async function exchange(round: Round, holder: Holder, form: URLSearchParams): Promise<{ status: number }> {
  const client = new URLSearchParams(form);
  client.set('client_id', holder.id);
  client.set('client_secret', holder.key);
  round.report.calls += 1;
  return round.place.call('POST', '/oauth2/token', { holder, body: client.toString(), isKeyInBody: true });
}

/** Disconnects the grant of a step, whose tokens are revoked at the provider, and attacks the queue. */
async function leave(
  round: Round,
  { tenant, provider, account }: { tenant: string; provider: string; account: string },
): Promise<void> {
  const path = `/v1/tenants/${tenant}/grants/${provider}?account=${account}`;
  const { status } = await call(round, 'DELETE', path, round.place.holder('operator'));
  if (status < 300) await round.attack(['grantry_revocations', 'grantry_candidates']);
}
