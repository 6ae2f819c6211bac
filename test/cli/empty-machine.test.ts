/** A machine without a vault: commands that only read say so and leave no file behind. */
import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { Home } from './grantry.ts';

const looking = [
  'list',
  'show acme zoho_crm',
  'token acme zoho_crm',
  'token acme zoho_crm --json',
  'health',
  'health acme zoho_crm --json',
  'call acme zoho_crm GET /crm/v8/org',
  'exec acme -- true',
  'app list',
  'app show one',
  'app remove one',
  'provider remove one',
  'connect acme zoho_crm',
  'disconnect acme zoho_crm',
  'list --database sqlite:elsewhere.db',
];

describe('without a vault', () => {
  test.each(looking)('grantry %s', async (words) => {
    await using home = await Home.make();
    const run = await home.run(words.split(' '));
    expect(run.code).toBe(3);
    expect(run.stdout).toBe('');
    expect(run.stderr).toContain('grantry init');
    expect(run.stderr).toContain(words.includes('elsewhere') ? 'elsewhere.db' : 'grantry.db');
    expect(await readdir(home.path)).toEqual([]);
  });

  test.each(['init', 'list', 'doctor'])('a user without a home directory is told so by grantry %s', async (command) => {
    await using home = await Home.make();
    const run = await home.run([command], { env: { HOME: '', GRANTRY_HOME: '' } });
    expect(run).toMatchObject({ code: 2, stdout: '' });
    expect(run.stderr).toContain('no home directory');
    expect(run.stderr).toContain('Set GRANTRY_HOME');
  });

  test('the doctor makes nothing', async () => {
    await using home = await Home.make();
    expect((await home.run(['doctor'])).stdout).toContain('Run: grantry init');
    expect(await readdir(home.path)).toEqual([]);
  });

  test('the built-in catalogue is there all the same', async () => {
    await using home = await Home.make();
    const run = await home.run(['provider', 'list']);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(run.stdout).toMatch(/^zoho_crm +Zoho CRM +built in$/m);
    expect((await home.run(['provider', 'show', 'zoho_crm'])).stdout).toMatch(/^rotation +none$/m);
    expect((await home.run(['provider', 'show', 'nobody'])).code).toBe(3);
    expect(await readdir(home.path)).toEqual([]);
  });
});
