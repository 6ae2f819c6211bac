import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCodes } from '../base/errors.ts';
import { actionAsCommand, actionOverHttp } from './actions.ts';

const src = join(import.meta.dirname, '..');

/** They have no route: they run where the database is. */
const local = ['grantry init', 'grantry migrate', 'grantry doctor'];

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
