/** An error about one account of several names it, and its advice leaves the others untouched. */
import { expect, it } from 'vitest';
import { grantRow } from '../../../test/support/grant-fixtures.ts';
import { answerLost, answerSetAside, answerUnreadable, mustReauthorize, noSuchGrant, refusedOnce } from './refusals.ts';

const errors = {
  'a first refusal': refusedOnce,
  'a lost answer': answerLost,
  'an answer set aside': answerSetAside,
};

it.each(Object.entries(errors))('names the account in %s', (_, make) => {
  expect(make(grantRow({ account: 'second' }), 1).message).toContain(' of acme');
  expect(make(grantRow({ account: 'second' }), 1).message).toContain(' (account second)');
  expect(make(grantRow(), 1).message).not.toContain('account');
});

it('names the account where the answer cannot be read', () => {
  const { message } = answerUnreadable(grantRow({ account: 'second' }), 'the file');
  expect(message).toContain('the grant of acme at zoho_crm (account second) may be in the file');
});

it('advises to recover the account that waits for its answer', () => {
  const before = 'Mend the cause, which the log names, then run: grantry recover acme zoho_crm';
  expect(answerSetAside(grantRow(), 1).action).toBe(before);
  expect(answerSetAside(grantRow({ account: 'second' }), 1).action).toBe(`${before} --account second`);
});

it('advises to connect the account that has ended', () => {
  const before = 'acme must connect again: grantry connect acme zoho_crm';
  expect(mustReauthorize(grantRow())).toMatchObject({
    message: 'The grant of acme at zoho_crm has ended: the provider refused its refresh token twice (refused).',
    action: before,
  });
  expect(mustReauthorize(grantRow({ account: 'second' }))).toMatchObject({
    message:
      'The grant of acme at zoho_crm (account second) has ended: the provider refused its refresh token twice (refused).',
    action: `${before} --account second`,
  });
});

it('advises to connect the account that is missing', () => {
  const key = { tenant: 'acme', provider: 'zoho_crm' };
  expect(noSuchGrant({ ...key, account: 'default' })).toMatchObject({
    message: 'acme has no grant at zoho_crm.',
    action: 'Connect it: grantry connect acme zoho_crm',
  });
  expect(noSuchGrant({ ...key, account: 'second' })).toMatchObject({
    message: 'acme has no grant at zoho_crm (account second).',
    action: 'Connect it: grantry connect acme zoho_crm --account second',
  });
});
