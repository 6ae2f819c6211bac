import { schemaVersion, schemaVersionLatest } from '../../storage/migrations/version.ts';
import { isAnonymous, readInstance } from '../../storage/statements/instance.ts';
import { narrowIndexes, narrowIndexText } from '../../storage/statements/unique-indexes.ts';
import type { Store } from '../../storage/store.ts';
import type { Context } from '../context.ts';
import { quarantineAction } from '../quarantine.ts';
import { type Finding, fail, finding, ok, warn } from './finding.ts';

/** The clocks of two machines may differ by this much. */
const clockWarnMs = 2_000;
const clockFailMs = 30_000;

/** Checks an open database. */
export async function databaseFindings(context: Context, store: Store): Promise<readonly Finding[]> {
  const findings = [
    await finding('durability', () => durability(store)),
    await finding('clock', () => clock(context, store)),
  ];
  const version = await finding('schema', () => schema(store));
  findings.push(version);
  if (version.status === 'ok') {
    findings.push(await finding('identity', () => identity(context, store)));
    findings.push(await finding('table', () => grantTable(store)));
  }
  return findings;
}

async function durability(store: Store): Promise<Finding> {
  const { settings, weakness } = await store.durability();
  return weakness === null ? ok('durability', settings) : fail('durability', settings, weakness, 'storage_unavailable');
}

async function clock(context: Context, store: Store): Promise<Finding> {
  const { world } = context;
  const before = world.now();
  const database = await store.nowMs();
  const after = world.now();
  // The database answered between the two readings.
  const apartMs = Math.max(0, before - database, database - after);
  // A clock that was set back shows by what was written in its future.
  const newestAt = (await schemaVersion(store)) === 0 ? 0 : ((await readInstance(store.db))?.newest?.at ?? 0);
  const aheadMs = newestAt - database;
  if (aheadMs > clockWarnMs) {
    const detail = `the newest event is ${Math.round(aheadMs / 1000)} s in the future`;
    return fail('clock', detail, 'Set the clock of the database by NTP.', 'internal');
  }
  const detail =
    apartMs < 1_000 ? 'agrees with the database' : `${Math.round(apartMs / 1000)} s apart from the database's`;
  if (apartMs > clockFailMs) return fail('clock', detail, 'Set the clocks of both machines by NTP.', 'internal');
  return apartMs > clockWarnMs ? warn('clock', detail, 'Set the clocks of both machines by NTP.') : ok('clock', detail);
}

async function schema(store: Store): Promise<Finding> {
  const version = await schemaVersion(store);
  if (version === schemaVersionLatest) return ok('schema', `version ${version}`);
  if (version === 0) return fail('schema', 'there is none', 'Run: grantry init', 'not_found');
  if (version < schemaVersionLatest)
    return warn('schema', `version ${version} of ${schemaVersionLatest}`, 'Run: grantry migrate');
  return fail(
    'schema',
    `version ${version}, and this program knows only ${schemaVersionLatest}`,
    'Run a newer Grantry.',
    'invalid_request',
  );
}

async function grantTable(store: Store): Promise<Finding> {
  const found = await narrowIndexes(store);
  if (found.length === 0) return ok('table', 'no index of another program forbids a second account');
  const { text, action } = narrowIndexText(found);
  return fail('table', text, action, 'invalid_request');
}

async function identity(context: Context, store: Store): Promise<Finding> {
  const instance = await readInstance(store.db);
  if (instance === undefined)
    return fail('identity', 'the database has no identity yet', 'Run: grantry init', 'not_found');
  if (instance.quarantined_reason !== null) {
    return fail('identity', `quarantined: ${instance.quarantined_reason}`, quarantineAction, 'grant_quarantined');
  }
  if (instance.scrub_pending !== 0) {
    return warn('identity', 'plaintext of a take-over is not scrubbed yet', 'Run: grantry init');
  }
  const { installation } = context.settings;
  if (isAnonymous(instance.location) && installation === null) {
    const detail = 'the server tells no identity, so a copy could not be told from the original';
    return fail('identity', detail, 'Set GRANTRY_INSTALLATION.', 'grant_quarantined');
  }
  if (installation !== null && instance.installation !== null && installation !== instance.installation) {
    return fail(
      'identity',
      `the database belongs to the installation ${instance.installation}`,
      'Set GRANTRY_INSTALLATION to that name, or use another database.',
      'grant_quarantined',
    );
  }
  return ok(
    'identity',
    instance.installation === null ? 'no installation name' : `installation ${instance.installation}`,
  );
}
