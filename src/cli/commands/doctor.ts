import type { Command } from 'commander';
import { errorCodes } from '../../base/errors.ts';
import { commandFor } from '../../base/ids.ts';
import { silentLogger } from '../../base/log.ts';
import type { Store } from '../../storage/store.ts';
import { internalsOf } from '../../vault/internals.ts';
import type { App, Grant, Vault } from '../../vault/types.ts';
import { unsafeSwitch } from '../../vault/unsafe-switch.ts';
import { type Context, contextOf, databaseExists, openContextVault } from '../context.ts';
import { type Finding, fail, failed, finding, ok, warn } from '../doctor/finding.ts';
import { checkDisk, checkHome, checkSpool } from '../doctor/places.ts';
import { epilogue } from '../options.ts';
import { isUnreached, organizationText, sharedAdvice, sharedOrganizations } from '../organizations.ts';
import { quarantineAction } from '../quarantine.ts';
import { withProgress } from '../terminal/progress.ts';
import { allGrants } from './list.ts';

export function define(command: Command): void {
  command
    .description(
      'Checks home, disk, spool, root key, database, clock and the network to providers, and says what to do. It changes ' +
        'nothing. The exit code is that of the first failure.',
    )
    .addHelpText('after', epilogue('Example:\n  grantry doctor'))
    .action(async () => doctor(contextOf(command)));
}

async function doctor(context: Context): Promise<void> {
  const findings = await withProgress(context.world, 'Checking', () => examine(context));
  const failure = findings.find((found) => found.status === 'fail');
  process.exitCode = failure === undefined ? 0 : errorCodes[failure.code ?? 'internal'].exit;
  if (context.output.json)
    return context.output.printJson(
      findings.map(({ check, status, detail, action }) => ({ check, status, detail, action })),
    );
  const width = Math.max(...findings.map((found) => found.check.length));
  for (const { check, status, detail, action } of findings) {
    context.output.print(`${status.padEnd(4)}  ${check.padEnd(width)}  ${detail}`);
    if (action !== '') context.output.print(`${' '.repeat(width + 8)}${action}`);
  }
}

async function examine(context: Context): Promise<readonly Finding[]> {
  const { settings } = context;
  if (settings.server !== undefined) {
    const { serverFindings } = await import('../doctor/server.ts');
    return serverFindings(context, settings.server);
  }
  const findings = [
    await finding('home', () => checkHome(settings)),
    await finding('disk', () => checkDisk(settings)),
    await finding('spool', () => checkSpool(settings)),
    await finding('root key', () => rootKey(settings.rootKey)),
    ...(settings.allowLoopback ? [unsafeFinding()] : []),
  ];
  if (!databaseExists(context)) {
    return [...findings, fail('database', 'there is none yet', 'Run: grantry init', 'not_found')];
  }
  const before = findings.length;
  try {
    const { openStore } = await import('../../storage/store.ts');
    const { database, untriedEngine: allowUntriedEngine } = settings;
    const store = await openStore({ database, world: context.world, logger: silentLogger, allowUntriedEngine });
    findings.push(...(await examineDatabase(context, store)));
  } catch (thrown) {
    findings.push(failed('database', thrown));
  }
  const fine =
    findings.slice(before).every((found) => found.status === 'ok') &&
    findings.every((found) => found.status !== 'fail');
  return fine ? [...findings, ...(await examineVault(context))] : findings;
}

async function examineDatabase(context: Context, store: Store): Promise<readonly Finding[]> {
  try {
    const { databaseFindings } = await import('../doctor/database.ts');
    return [
      ok('database', store.kind === 'sqlite' ? context.settings.database : 'answers'),
      ...(await databaseFindings(context, store)),
    ];
  } finally {
    await store.close();
  }
}

function unsafeFinding(): Finding {
  return warn('switch', `${unsafeSwitch.name} is on: ${unsafeSwitch.means}`, unsafeSwitch.action);
}

async function rootKey(source: string): Promise<Finding> {
  const { loadRootKey, parseRootKeySource } = await import('../../crypto/root-key.ts');
  await loadRootKey(parseRootKeySource(source));
  return ok('root key', `${source.split(':')[0] ?? ''}: it is strong, and no other user can read it`);
}

/** Opens the vault without migrating it, and looks at its apps and grants. */
async function examineVault(context: Context): Promise<readonly Finding[]> {
  try {
    await using vault = await openContextVault(context, { migrate: 'off' }, { quiet: true });
    // Only opening compares the database with this home, and so finds a copy.
    if (vault.quarantine !== null) {
      return [fail('identity', `quarantined: ${vault.quarantine}`, quarantineAction, 'grant_quarantined')];
    }
    const [apps, grants] = [await vault.apps.list(), await allGrants(vault, {})];
    const { proxyFinding, reachFindings } = await import('../doctor/reach.ts');
    const { sealsFinding } = await import('../doctor/seals.ts');
    const { rowsFinding } = await import('../doctor/rows.ts');
    const { slotFindings } = await import('../doctor/slots.ts');
    return [
      ok('vault', 'the root key opens it'),
      await finding('rows', () => rowsFinding(internalsOf(vault).open())),
      grantsFinding(grants),
      await finding('seals', () => sealsFinding(internalsOf(vault).open())),
      ...(await organizationFindings(vault, grants)),
      ...(await slotFindings(vault, apps)),
      ...scopeFindings(apps),
      await proxyFinding(context.settings.egressProxy),
      ...(await reachFindings(context.world, vault, { apps, grants })),
    ];
  } catch (thrown) {
    return [failed('vault', thrown)];
  }
}

/** Warns of tenants that are in one organisation, and of an organisation that its grant's token does not reach. */
async function organizationFindings(vault: Vault, grants: readonly Grant[]): Promise<Finding[]> {
  const wrong = grants.filter((grant) => grant.state !== 'disconnected' && isUnreached(grant));
  return [
    ...(await sharedOrganizations(vault, grants)).map((line) => warn('organisation', line, sharedAdvice)),
    ...wrong.map((grant) => {
      const text = `${grant.tenant} at ${grant.provider}: ${organizationText(grant)}`;
      return warn('organisation', text, `Choose one of its own: ${commandFor('organizations', grant)}`);
    }),
  ];
}

/** Warns of broad scopes whose reason no person has written down. */
function scopeFindings(apps: readonly App[]): Finding[] {
  return apps
    .filter(({ scopesWithoutReason }) => scopesWithoutReason.length > 0)
    .map(({ name, scopesWithoutReason }) =>
      warn(
        'scopes',
        `${name} asks for broad scopes without a reason: ${scopesWithoutReason.join(' ')}`,
        `Ask for less, or keep a reason: grantry app add ${name} --scope-reason "SCOPE=why"`,
      ),
    );
}

function grantsFinding(grants: readonly { readonly state: string }[]): Finding {
  const alive = grants.filter((grant) => grant.state !== 'disconnected');
  const lost = alive.filter((grant) => grant.state === 'reauthorization_required').length;
  const detail = `${alive.length} connected`;
  if (lost === 0) return ok('grants', detail);
  const action = 'Run: grantry list --state reauthorization_required';
  return warn('grants', `${detail}, ${lost} need re-authorization`, action);
}
