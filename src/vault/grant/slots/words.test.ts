import { expect, it } from 'vitest';
import type { Slots } from '../../../schemas/slots.ts';
import { withoutRepeats } from './words.ts';

const slots: Slots = {
  app: 'one',
  provider: 'zoho_crm',
  user: 'meera',
  dc: 'eu',
  tokens: 18,
  upTo: 18,
  max: 20,
  filling: true,
  next: { tenant: 'acme', provider: 'zoho_crm', account: 'default' },
  nextConsentedAt: new Date(0),
};

it('what apps of one registration share is told once', () => {
  const other = { ...slots, user: 'ravi' };
  const unused = { ...slots, next: null };
  expect(
    withoutRepeats([slots, { ...slots, app: 'two', provider: 'zoho' }, other, unused, { ...unused, app: 'two' }]),
  ).toEqual([slots, other, unused, { ...unused, app: 'two' }]);
});
