import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCodes } from '../base/errors.ts';
import { actionAsCommand, actionOverHttp } from './actions.ts';

const src = join(import.meta.dirname, '..');

/** They have no route: they run where the database is. */
const local = ['grantry init', 'grantry migrate', 'grantry doctor', 'grantry audit'];

test.each([
  ['Connect it: grantry connect acme zoho_crm', 'Connect it: POST /v1/connect-sessions'],
  [
    'Add one: grantry app add NAME --provider strict --client-id ID --client-secret-file FILE',
    'Add one: PUT /v1/apps/{app}',
  ],
  ['grantry adopt --after-restore', 'POST /v1/adopt with {"after_restore":true}'],
  [errorCodes.grant_quarantined.action, expect.stringContaining('POST /v1/adopt')],
])('%s', (command, route) => {
  expect(actionOverHttp(command)).toEqual(route);
  expect(actionOverHttp(command)).not.toContain('grantry ');
  expect(actionAsCommand(actionOverHttp(command))).toContain('grantry ');
});

test.each([
  [
    'acme must connect again: grantry connect acme zoho_crm --account second',
    'acme must connect again: POST /v1/connect-sessions with {"account":"second"}',
    'acme must connect again: grantry connect TENANT PROVIDER --account second',
  ],
  [
    'Mend it, then run: grantry recover acme zoho_crm --account a.b@c:1',
    'Mend it, then run: POST /v1/tenants/{tenant}/grants/{provider}/recover?account=a.b@c:1',
    'Mend it, then run: grantry recover TENANT PROVIDER --account a.b@c:1',
  ],
  [
    'Connect it: grantry connect acme zoho_crm --account [not shown]',
    'Connect it: POST /v1/connect-sessions with {"account":"[not shown]"}',
    'Connect it: grantry connect TENANT PROVIDER --account [not shown]',
  ],
])('keeps the account of %s', (command, route, plain) => {
  expect(actionOverHttp(command)).toBe(route);
  expect(actionAsCommand(route)).toBe(plain);
});

test.each([
  ['Connect it: grantry connect [not shown] zoho_crm', 'Connect it: POST /v1/connect-sessions'],
  ['Connect it: grantry connect acme-[not shown] zoho_crm', 'Connect it: POST /v1/connect-sessions'],
  [
    'grantry recover [not shown] zoho_crm --account [not shown]',
    'POST /v1/tenants/{tenant}/grants/{provider}/recover?account=[not shown]',
  ],
  ['grantry provider show [not shown] --json', 'GET /v1/providers/{provider}'],
  ['grantry provider remove [not shown]', 'DELETE /v1/providers/{provider}'],
])('reads a hidden name whole in %s', (command, route) => {
  expect(actionOverHttp(command)).toBe(route);
});

test('turns the route of one provider into its own command', () => {
  const action = 'Start from the output of: grantry provider show zoho_crm --json';
  const shown = 'Start from the output of: grantry provider show PROVIDER --json';
  expect(actionAsCommand(actionOverHttp(action))).toBe(shown);
});

test('every command in an action of the vault has a route, or runs where the database is', () => {
  const rooms = ['base', 'vault', 'oauth', 'providers', 'storage', 'crypto'];
  const files = rooms.flatMap((room) =>
    readdirSync(join(src, room), { recursive: true, encoding: 'utf8' }).map((file) => join(src, room, file)),
  );
  const lines = files
    .filter((file) => /(?<!\.test)\.ts$/.test(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => /grantry [a-z]/.test(line) && !/^\s*(?:\/?\*|\/\/|help: )/.test(line));
  expect(lines.length).toBeGreaterThan(10);
  const unknown = lines
    .map((line) => actionOverHttp(line))
    .filter((line) => /grantry [a-z]/.test(local.reduce((text, command) => text.replaceAll(command, ''), line)));
  expect(unknown).toEqual([]);
});
